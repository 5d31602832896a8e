"""Benchmarks of the store against other stores with the same records.

    make benchmark                 # everything, five rounds: about half an hour
    make benchmark ARGS=--quick    # one round of the smaller sizes

Each figure runs in its own process (`worker.py`), which fills a fresh folder and repeats one
workload (`workloads.py`) on one peer (`peers.py`). The peers take turns within each round, so that
a slow minute of the machine affects all of them alike. The tables compare medians. Compare the
ratios; the absolute times depend on the machine.
"""
