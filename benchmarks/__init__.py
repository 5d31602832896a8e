"""How fast the store is, beside others that keep the same records.

    make benchmark                 # everything, five rounds: about half an hour
    make benchmark ARGS=--quick    # one round of the smaller sizes

Each figure is a process of its own (`worker.py`) that fills a fresh folder and repeats one
workload (`workloads.py`) on one peer (`peers.py`). The peers take turns within each round, so that
a slow minute of the machine hits all of them alike, and what is compared are medians. Compare the
ratios; the absolute times are those of the machine.
"""
