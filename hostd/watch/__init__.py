"""Programs that watch: vztop, a live view, and vzmetrics, for Prometheus.  They ask vzlist, and nothing of the daemon's
is in them.
"""
