"""The real parts of Vigia, started on one machine for the demo and for tests.

`Stack` is the library; `vigia-stack up|down|status|run` is the command; `vigia_stack.testing` is the pytest plugin.
"""
