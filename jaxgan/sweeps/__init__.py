"""The parts of `--mode=sweep`: planning, training and reporting many runs.

In this order: `grammar` and `plan` (the runs, and which share a program, by `structure`), `population` and
`members` (training), `claims` and `progress` (between processes), `results`, `tables`, `figures` and
`report`.
"""
