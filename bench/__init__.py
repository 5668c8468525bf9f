"""Claims about the project, each with a command that measures it: `python -m bench.NAME`. Never run as tests."""
