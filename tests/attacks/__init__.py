"""Attacks on every address that there is.

The addresses are found by looking into the URL resolver, never listed by hand: `routes`. What each
answers to whom by which method stands in `rows`; an address without a row fails the build. `judge`
makes the calls. The other attacks take the same rows, and so reach every address too.
"""
