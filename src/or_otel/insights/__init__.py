"""What calls show beside one another: facts of finished calls in, judgements out; pure, in bounded memory.

`repeats` sees requests that come again, `sizes` those that are larger than usual, `caching` what a cache gained,
`tiers` how dear a model is. Nothing here reads a clock, a body or a price list: times, hashes and prices come in.
"""
