#!/usr/bin/env python3
"""Writes the three dashboards, which Grafana wants as JSON that nobody can read.

    deploy/grafana/dashboards.py            writes dashboards/*.json
    deploy/grafana/dashboards.py --check    fails where they are not what this file gives
"""

import json
import pathlib
import sys

HERE = pathlib.Path(__file__).parent / "dashboards"
SOURCE = {"type": "prometheus", "uid": "prometheus"}
RATE = "$__rate_interval"


def target(number, expr, legend="", **more):
    return {"refId": chr(65 + number), "expr": expr, "legendFormat": legend, "datasource": SOURCE, **more}


def panel(kind, title, help_text, queries, unit="short", width=12, height=8, defaults=None, options=None, more=None):
    """One panel; `queries` are pairs of an expression and a legend."""
    return {
        "title": title,
        "description": help_text,
        "type": kind,
        "datasource": SOURCE,
        "targets": [target(number, *query) for number, query in enumerate(queries)],
        "fieldConfig": {"defaults": {"unit": unit, "min": 0, **(defaults or {})}, "overrides": []},
        "options": options or {},
        "size": (width, height),
        **(more or {}),
    }


def stat(title, help_text, expr, unit="short", steps=None):
    thresholds = {"mode": "absolute", "steps": [{"color": "green", "value": None}] + (steps or [])}
    options = {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value", "graphMode": "area"}
    return panel("stat", title, help_text, [(expr, "")], unit, 4, 4, {"thresholds": thresholds}, options)


def graph(title, help_text, queries, unit="short", stack=False, **more):
    custom = {"lineWidth": 1, "fillOpacity": 15 if stack else 5, "showPoints": "never"}
    if stack:
        custom["stacking"] = {"mode": "normal"}
    options = {"legend": {"displayMode": "table", "placement": "right", "calcs": ["lastNotNull", "max"]},
               "tooltip": {"mode": "multi"}}
    return panel("timeseries", title, help_text, queries, unit, defaults={"custom": custom}, options=options, **more)


def heatmap(title, help_text, metric, group=""):
    """A latency heat map: the histogram's own buckets, so no quantile is guessed."""
    expr = f"sum by (le) (increase({metric}_bucket{group}[{RATE}]))"
    options = {
        "calculate": False, "yAxis": {"unit": "s"}, "cellGap": 1, "legend": {"show": True},
        "color": {"mode": "scheme", "scheme": "Oranges", "steps": 64}, "tooltip": {"mode": "single"},
    }
    made = panel("heatmap", title, help_text, [], width=8, options=options)
    made["targets"] = [target(0, expr, "{{le}}", format="heatmap")]
    return made


def dashboard(uid, title, rows, variables=()):
    """Lays panels out row by row, 24 columns wide."""
    panels, y, number = [], 0, 0
    for name, row in rows:
        panels.append({"type": "row", "title": name, "collapsed": False, "panels": [], "id": (number := number + 1),
                       "gridPos": {"x": 0, "y": y, "w": 24, "h": 1}})
        y, x, tallest = y + 1, 0, 0
        for one in row:
            one = dict(one)
            width, height = one.pop("size")
            if x + width > 24:
                y, x, tallest = y + tallest, 0, 0
            panels.append({"id": (number := number + 1), **one, "gridPos": {"x": x, "y": y, "w": width, "h": height}})
            x, tallest = x + width, max(tallest, height)
        y += tallest
    links = [{"type": "dashboards", "tags": ["orfeas"], "title": "ORFEAS", "asDropdown": False, "keepTime": True}]
    return {
        "uid": uid, "title": title, "tags": ["orfeas"], "timezone": "browser", "schemaVersion": 39, "version": 1,
        "refresh": "10s", "time": {"from": "now-1h", "to": "now"}, "editable": True, "links": links,
        "templating": {"list": list(variables)}, "annotations": {"list": []}, "panels": panels,
    }


def pipeline():
    jobs = "orfeas_jobs_total"
    return dashboard("orfeas-pipeline", "ORFEAS pipeline", [
        ("Now", [
            stat("Jobs a minute", "Ended jobs, all states.", f"sum(rate({jobs}[{RATE}])) * 60"),
            stat("p95, 15 minutes", "From the client's publish to the completed event.", "job:seconds:p95_15m", "s"),
            stat("Waiting", "Jobs that no worker has taken.",
                 'sum(orfeas_consumer_pending{consumer=~"ingest|infer|export"})'),
            stat("Oldest waits", "Age of the oldest unfinished job in a queue.",
                 'max(orfeas_stream_oldest_seconds{stream=~"IMAGES|WORK"})', "s",
                 [{"color": "orange", "value": 300}, {"color": "red", "value": 900}]),
            stat("Our own failures", "Share of jobs that failed by no fault of the picture, 15 minutes.",
                 "job:own_failures:ratio15m", "percentunit", [{"color": "red", "value": 0.05}]),
            stat("Dead letters", "What the stages gave up on.", "max(orfeas_dead_letters)", "short",
                 [{"color": "orange", "value": 1}]),
        ]),
        ("Throughput and failures", [
            graph("Ended jobs a minute", "By how they ended.",
                  [(f"sum by (state) (rate({jobs}[{RATE}])) * 60", "{{state}}")], stack=True),
            graph("Failures by code", "The codes of the failed events.",
                  [(f"sum by (stage, code) (increase(orfeas_job_failures_total[{RATE}]))", "{{stage}} {{code}}")],
                  stack=True),
        ]),
        ("Latency", [
            heatmap("Whole jobs", "From publish to the completed event.", "orfeas_job_seconds"),
            heatmap("Ingest", "Decode, cut out, recentre.", "orfeas_stage_seconds", '{stage="ingest"}'),
            heatmap("Infer", "Picture to field.", "orfeas_stage_seconds", '{stage="infer"}'),
            heatmap("Export", "Field to mesh to files.", "orfeas_stage_seconds", '{stage="export"}'),
            heatmap("In the queue of infer", "What waiting for the device costs.", "orfeas_stage_queue_seconds",
                    '{stage="infer"}'),
            heatmap("In the queue of export", "What waiting for a CPU costs.", "orfeas_stage_queue_seconds",
                    '{stage="export"}'),
            graph("Stages, p95", "Of 15 minutes.", [("stage:seconds:p95_15m", "{{stage}}")], "s"),
            graph("Queues, p95", "Of 15 minutes.", [("stage:queue_seconds:p95_15m", "{{stage}}")], "s"),
        ]),
        ("Queues and stages", [
            graph("Waiting", "Jobs that no worker has taken.",
                  [('orfeas_consumer_pending{consumer=~"ingest|infer|export"}', "{{consumer}}")]),
            graph("In hand", "Jobs that a worker has taken.",
                  [('orfeas_consumer_ack_pending{consumer=~"ingest|infer|export"}', "{{consumer}}"),
                   ("sum by (stage) (orfeas_jobs_in_hand)", "{{stage}} says")]),
            graph("Given out again", "Redeliveries in hand, and attempts that asked for another.",
                  [("orfeas_consumer_redelivered", "{{consumer}}"),
                   (f'sum by (stage) (rate(orfeas_stage_attempts_total{{outcome="retry"}}[{RATE}]))',
                    "{{stage}} retries/s")]),
            graph("Replicas that take work", "Ready, by service.", [("sum by (job) (orfeas_ready)", "{{job}}")]),
        ]),
        ("NATS", [
            graph("Healthy, with a leader", "What each server says of itself.",
                  [("orfeas_nats_up", "{{server}} answers"), ("orfeas_nats_healthy", "{{server}} healthy"),
                   ("orfeas_nats_quorum", "{{server}} has a leader")]),
            graph("Messages a second", "As the servers count them.",
                  [(f"rate(orfeas_nats_messages_total[{RATE}])", "{{server}} {{direction}}")]),
            graph("Traffic", "As the servers count it.",
                  [(f"rate(orfeas_nats_bytes_total[{RATE}])", "{{server}} {{direction}}")], "Bps"),
            graph("Server memory", "Resident.", [("orfeas_nats_memory_bytes", "{{server}}")], "bytes"),
            graph("Server CPU, clients", "Cores kept busy, and connections.",
                  [("orfeas_nats_cpu_ratio", "{{server}} cores"), ("orfeas_nats_connections", "{{server}} clients")]),
            graph("Refused calls, slow clients", "Since the servers began.",
                  [("orfeas_nats_api_errors_total", "{{server}} refused"),
                   ("orfeas_nats_slow_consumers_total", "{{server}} slow")]),
        ]),
        ("Storage", [
            graph("Streams and buckets, share of their limit", "At 1, those that refuse when full stop the pipeline.",
                  [("stream:bytes:ratio", "{{stream}}")], "percentunit"),
            graph("Streams and buckets", "Bytes held.",
                  [("orfeas_bucket_bytes", "bucket {{bucket}}"),
                   ('orfeas_stream_bytes{stream!~"OBJ_.*"}', "{{stream}}")], "bytes", stack=True),
            graph("JetStream's store", "Held, reserved by limits, and there.",
                  [("orfeas_nats_store_bytes", "{{server}} held"),
                   ("orfeas_nats_store_reserved_bytes", "{{server}} reserved"),
                   ("orfeas_nats_store_limit_bytes", "{{server}} limit")], "bytes"),
            graph("Disks, share used", "Of the watched folders.", [("disk:used:ratio", "{{path}}")], "percentunit"),
            graph("Events behind", "Events that metrics has not counted yet.", [("orfeas_events_lag", "behind")]),
            graph("Events a second", "By kind.",
                  [(f"sum by (kind) (rate(orfeas_events_total[{RATE}]))", "{{kind}}")], stack=True),
        ]),
    ])


def gpu():
    phases = "orfeas_engine_phase_seconds"
    return dashboard("orfeas-gpu", "ORFEAS GPU", [
        ("Device", [
            stat("GPUs watched", "1 where NVML answers; the reason stands in the label.", "max(orfeas_gpu_available)"),
            stat("Model loaded", "Share of the engine that is loaded.", "min(orfeas_engine_loaded_ratio)",
                 "percentunit"),
            panel("table", "Which", "Name and driver.", [("orfeas_gpu_info", "")], width=16, height=4,
                  more={"transformations": [{"id": "labelsToFields"}]}),
            graph("Memory", "Used and there.",
                  [("orfeas_gpu_memory_used_bytes", "GPU {{index}} used"),
                   ("orfeas_gpu_memory_total_bytes", "GPU {{index}} there")], "bytes"),
            graph("Memory, share used", "Alerts at 0.9.", [("gpu:memory:ratio", "GPU {{index}}")], "percentunit"),
            graph("Utilisation", "Share of the sample period in which the GPU computed.",
                  [("orfeas_gpu_utilisation_ratio", "GPU {{index}}")], "percentunit"),
            graph("Temperature", "Alerts at 90 °C.", [("orfeas_gpu_temperature_celsius", "GPU {{index}}")],
                  "celsius"),
        ]),
        ("Time by stage of the model", [
            graph("Seconds a second, by phase", "Where the device's time goes; all phases together are its load.",
                  [(f"sum by (engine, phase) (rate({phases}_sum[{RATE}]))", "{{engine}} {{phase}}")], "percentunit",
                  stack=True),
            graph("Mean time of a phase", "Of the present interval.",
                  [(f"sum by (engine, phase) (rate({phases}_sum[{RATE}])) / "
                    f"sum by (engine, phase) (rate({phases}_count[{RATE}]) > 0)", "{{engine}} {{phase}}")], "s"),
            heatmap("All phases", "How long phases take.", phases),
            graph("Jobs in hand", "One computes; the others' pictures wait decoded.",
                  [('sum(orfeas_jobs_in_hand{stage="infer"})', "in hand")], width=16),
        ]),
    ])


def jobs():
    # Prometheus calls the service that it asked `job`, and moves our own label of that name out of the way.
    link = {"title": "The event that ended it", "url": "${metrics}/jobs/${__data.fields.exported_job}", "targetBlank": True}
    variable = {"name": "metrics", "label": "metrics service as your browser reaches it", "type": "textbox",
                "query": "http://localhost:9100", "current": {"value": "http://localhost:9100"}}
    table = panel(
        "table", "The last jobs", "The 25 that ended last; a click on a job shows its last event, with files or reason.",
        [], "s", 24, 14,
        more={"transformations": [
            {"id": "labelsToFields"}, {"id": "merge"},
            {"id": "organize", "options": {"excludeByName": {"Time": True, "instance": True, "__name__": True, "job": True},
                                           "renameByName": {"Value": "seconds"}}},
        ]})
    table["targets"] = [target(0, "orfeas_recent_job_seconds", "", format="table", instant=True)]
    table["fieldConfig"]["overrides"] = [
        {"matcher": {"id": "byName", "options": "exported_job"},
         "properties": [{"id": "displayName", "value": "job"}, {"id": "links", "value": [link]}]}]
    return dashboard("orfeas-jobs", "ORFEAS jobs", [
        ("Jobs", [
            table,
            graph("Ended jobs a minute", "By how they ended.",
                  [("sum by (state) (job:ended:rate5m) * 60", "{{state}}")], stack=True),
            panel("piechart", "Failures of the last day, by code", "Zero codes are left out.",
                  [("sum by (code) (increase(orfeas_job_failures_total[1d])) > 0", "{{code}}")]),
        ]),
    ], [variable])


def main():
    check = "--check" in sys.argv
    for name, made in (("pipeline", pipeline()), ("gpu", gpu()), ("jobs", jobs())):
        path, text = HERE / f"{name}.json", json.dumps(made, indent=1, ensure_ascii=False) + "\n"
        if check and (not path.is_file() or path.read_text() != text):
            sys.exit(f"{path} is not what dashboards.py gives; run it")
        if not check:
            HERE.mkdir(exist_ok=True)
            path.write_text(text)


if __name__ == "__main__":
    main()
