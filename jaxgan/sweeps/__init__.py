"""What `--mode=sweep` is made of: which runs, in how many programs; who trains them; what comes of them.

From the first to the last: `grammar` and `plan` (runs and the programs that they share, by `structure`),
`population` and `members` (training them), `claims` and `progress` (between processes), `results`, `tables`,
`figures` and `report`.
"""
