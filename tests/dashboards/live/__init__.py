"""Five weeks of a company's traffic in a real Prometheus, made in a minute or two.

Watched programs, the scripted OpenRouter and the account exporter live through simulated time; what each of them would
have exported then is written with the time of then: by Prometheus' own OTLP receiver for programs that push, as a
scrape would have kept it for the others. The recording rules are evaluated by that Prometheus, from the rule files.
Tests ask it; the pictures are drawn from it. `python -m live FOLDER` keeps it up until it is interrupted.
"""
