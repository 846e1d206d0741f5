"""The benches of `avcall bench`, one a module.

Each has a frozen dataclass of its flags and a function `bench_NAME(config)` that measures, prints what it found and
returns it as plain JSON; what is heavy is imported in that function, so that the flags are there at once.
"""
