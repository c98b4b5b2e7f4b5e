# Each recipe is a step of tests/run, which is what CI runs; `just` is a convenience and needed for nothing.

# Everything that CI checks
ci:
    tests/run

# Installs what the tests need
tools:
    tests/run tools

fmt:
    tests/run fmt

lint:
    tests/run lint

doc:
    tests/run doc

deny:
    tests/run deny

# The container image, built and run as deploy/ has it
image:
    tests/run image

# The tests; takes arguments of `cargo nextest run`, such as `just test connect::`
test *ARGS:
    tests/run tools test {{ARGS}}
