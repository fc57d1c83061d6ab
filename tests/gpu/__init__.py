"""The flash contract: a table of calls, and the tests that ask it."""
