"""One module a command: `register(commands)` adds its parser, whose `run` default does the work and returns the exit
code. Importing a command module must be cheap; what is heavy is imported inside `run`.
"""
