"""What a process tells of itself to those who operate it.

`metrics` is where every metric is defined once; `rpc_metrics`, `duty_metrics` and `process_metrics` are those that every
process has, and each service defines its own in its `metrics.py`. `exposition` is the port that Prometheus reads.
`tracing` makes spans of what is sampled, `span_queue` sends them, and `logs` says how lines are written.
"""
