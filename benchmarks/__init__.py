"""
Carillon measured beside its peers, in one run on one machine: ``make bench``.

``contenders`` are the servers, real processes on loopback. ``load`` is what puts them under load:
clients and publishers, each in a process of its own. ``scenarios`` bring the two together, and
``report`` writes down what came out. The method is told in ``docs/benchmarks.md``.
"""
