"""Prompts: the text of every phrase per language, how it is spoken, and its sound.

A phrase of the dial plan (`dialplan.phrases`) becomes sound in two steps. `catalogue.render` turns
it into names of clips: recorded pieces of the language's text, numbers and times by the rules of
`english` and `swedish`, and pauses. `bank.Bank.clips` turns those into pieces of one array of
samples, which the media process plays. The recordings under `audio/` are made by
`scripts/build-prompts`, the hold music by `scripts/build-music`, the tones by `tones`.
"""
