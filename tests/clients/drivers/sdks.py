"""API clients, made by their makers' generators."""

from __future__ import annotations

from drivers import KEY, PROMPT, Driver, imported


class OpenAI(Driver):
    name = module = "openai"

    def open(self):
        kind = getattr(imported("openai"), "AsyncOpenAI" if self.is_async else "OpenAI")
        self.client = kind(api_key=KEY, base_url=self.base_url, max_retries=self.retries)

    def close(self):
        return self.client.close()

    def ask(self):
        return self.client.chat.completions.create(**PROMPT)

    def text(self, answer):
        return answer.choices[0].message.content

    def stream(self):
        return self.client.chat.completions.create(**PROMPT, stream=True)

    def piece(self, event):
        return event.choices[0].delta.content or ""


class Groq(OpenAI):
    """Its paths begin with `/openai/v1`; so does none of the server's, so the prefix is taken off again."""

    name = module = "groq"

    def open(self):
        def redirect(request):
            request.url = request.url.copy_with(path=request.url.path.replace("/openai/v1", "/api/v1"))

        async def redirect_async(request):
            redirect(request)

        groq, root = imported("groq"), self.base_url.removesuffix("/api/v1")
        if self.is_async:
            http = groq.DefaultAsyncHttpxClient(event_hooks={"request": [redirect_async]})
        else:
            http = groq.DefaultHttpxClient(event_hooks={"request": [redirect]})
        kind = groq.AsyncGroq if self.is_async else groq.Groq
        self.client = kind(api_key=KEY, base_url=root, http_client=http, max_retries=self.retries)


class Anthropic(Driver):
    name = module = "anthropic"
    api = "messages"

    def open(self):
        kind = getattr(imported("anthropic"), "AsyncAnthropic" if self.is_async else "Anthropic")
        root = self.base_url.removesuffix("/v1")
        self.client = kind(auth_token=KEY, api_key=None, base_url=root, max_retries=self.retries)

    def close(self):
        return self.client.close()

    def ask(self):
        return self.client.messages.create(**PROMPT, max_tokens=50)

    def text(self, answer):
        return answer.content[0].text

    def stream(self):
        return self.client.messages.create(**PROMPT, max_tokens=50, stream=True)

    def piece(self, event):
        return event.delta.text if event.type == "content_block_delta" else ""


class AnthropicHelper(Anthropic):
    name = "anthropic, `messages.stream`"
    is_entered = True

    def stream(self):
        return self.client.messages.stream(**PROMPT, max_tokens=50)


class _Speakeasy(Driver):
    """SDKs of the generator that retries above the HTTP client."""

    is_entered = True
    sdk = retries_in = ""

    def open(self):
        retry = imported(self.retries_in)
        backoff = retry.BackoffStrategy(1, 2, 1.0, 60_000)
        strategy = "backoff" if self.retries else "none"
        config = retry.RetryConfig(strategy, backoff, retry_connection_errors=True)
        module, kind = self.sdk.split(":")
        self.client = getattr(imported(module), kind)(api_key=KEY, server_url=self.root(), retry_config=config)

    def root(self):
        return self.base_url

    def close(self):
        nothing = (None, None, None)
        return self.client.__aexit__(*nothing) if self.is_async else self.client.__exit__(*nothing)

    def text(self, answer):
        return answer.choices[0].message.content


class OpenRouter(_Speakeasy):
    name = module = "openrouter"
    sdk, retries_in = "openrouter:OpenRouter", "openrouter.utils"

    def ask(self):
        return (self.client.chat.send_async if self.is_async else self.client.chat.send)(**PROMPT)

    def stream(self):
        return (self.client.chat.send_async if self.is_async else self.client.chat.send)(**PROMPT, stream=True)

    def piece(self, event):
        return event.choices[0].delta.content or ""


class Mistral(_Speakeasy):
    name = module = "mistralai"
    sdk, retries_in = "mistralai.client:Mistral", "mistralai.client.utils"

    def root(self):
        return self.base_url.removesuffix("/v1")

    def ask(self):
        return (self.client.chat.complete_async if self.is_async else self.client.chat.complete)(**PROMPT)

    def stream(self):
        return (self.client.chat.stream_async if self.is_async else self.client.chat.stream)(**PROMPT)

    def piece(self, event):
        return event.data.choices[0].delta.content or ""
