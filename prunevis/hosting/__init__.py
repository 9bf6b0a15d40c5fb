"""The page for others: kernels kept warm, a cap, limits, and what Voila leaves open closed.

`settings` says what can be chosen, `configuration` hands it to Voila, `mends` closes what this
version of Voila leaves open, `pool` and `visitors` decide who has a kernel and for how long,
`running` starts and ends it all. The process that serves loads no torch.
"""
