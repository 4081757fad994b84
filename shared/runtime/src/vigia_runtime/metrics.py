"""The catalogue: every metric of the product, declared once, with unit, labels and meaning.

Rules: names are ``vigia_<what>_<unit>`` and counters end in ``_total``; seconds and bytes only; label values come
from closed or configured sets (outcome, code, topic, group, line, camera, route template), never ids, URLs or texts.
"""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

#: Seconds; from a fast stage of one frame to a request that waited for its time budget.
STAGE_BUCKETS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2, 5, 10)

# Process ---------------------------------------------------------------------------------------------------------
BUILD = Gauge("vigia_build_info", "Always 1; the running service and its version.", ["service", "version"])
COMPONENT_UP = Gauge("vigia_component_up", "1 while a readiness probe succeeds.", ["service", "component"])

# Kafka -----------------------------------------------------------------------------------------------------------
CONSUMER_LAG = Gauge(
    "vigia_consumer_lag_records", "Records between the committed offset and the end.", ["topic", "group"]
)
CONSUMER_LAG_SECONDS = Gauge(
    "vigia_consumer_lag_seconds", "Age of the oldest record read and not yet finished.", ["topic", "group"]
)
IN_FLIGHT = Gauge("vigia_consumer_in_flight_records", "Records being handled.", ["topic", "group"])
CONSUMED = Counter(
    "vigia_consumer_records_total", "Records finished, by what became of them: done or dead.", ["topic", "group", "end"]
)
CONSUMER_RETRIES = Counter(
    "vigia_consumer_retries_total", "Attempts repeated after a fault outside.", ["topic", "group"]
)
DEAD_LETTERS = Counter("vigia_dead_letters_total", "Records sent to a dead topic.", ["topic", "code"])
GAPS = Counter("vigia_consumer_unread_records_total", "Records that left a topic unread.", ["topic", "group"])
PRODUCED = Counter("vigia_producer_records_total", "Records acknowledged by all replicas.", ["topic"])
PRODUCE_FAILURES = Counter("vigia_producer_failures_total", "Sends that were not acknowledged.", ["topic"])
TABLE_KEYS = Gauge("vigia_table_keys", "Keys held of a compacted topic.", ["topic"])
TABLE_REJECTED = Counter(
    "vigia_table_rejected_total", "Records of a compacted topic that break its contract.", ["topic", "code"]
)

# Outbox ----------------------------------------------------------------------------------------------------------
OUTBOX_PENDING = Gauge("vigia_outbox_pending_records", "Announcements waiting for the broker.", ["schema"])
OUTBOX_LIMIT = Gauge(
    "vigia_outbox_limit_records", "Announcements that may wait for the broker; then calls are refused.", ["schema"]
)
OUTBOX_AGE = Gauge("vigia_outbox_oldest_seconds", "Age of the oldest announcement waiting.", ["schema"])
OUTBOX_PUBLISHED = Counter("vigia_outbox_published_total", "Announcements published.", ["schema", "topic"])

# HTTP ------------------------------------------------------------------------------------------------------------
HTTP_REQUESTS = Counter("vigia_http_requests_total", "Requests answered.", ["service", "method", "route", "status"])
HTTP_SECONDS = Histogram(
    "vigia_http_request_seconds", "Time to answer.", ["service", "method", "route"], buckets=STAGE_BUCKETS
)
THROTTLED = Counter(
    "vigia_throttled_requests_total", "Requests refused because too many came.", ["service", "operation"]
)
HTTP_IN_FLIGHT = Gauge("vigia_http_in_flight_requests", "Requests being answered.", ["service"])

# Calls (registry, detection, aggregator) ---------------------------------------------------------------------------
SIGNATURE_FAILURES = Counter(
    "vigia_signature_failures_total",
    "Requests that no known caller is proven to have sent: they are in no audit record.",
    ["service", "code"],
)
CALLS_UNRECORDED = Counter(
    "vigia_calls_unrecorded_total",
    "Calls that were refused or failed, and whose audit record could not be kept either.",
    ["service"],
)

# Cameras and frames (ingestion, detection) -----------------------------------------------------------------------
FRAMES = Counter(
    "vigia_frames_total",
    "Frames by outcome: published, dropped, refused; PASS, REJECT, REVIEW, INVALID.",
    ["service", "camera", "outcome"],
)
INVALID_FRAMES = Counter("vigia_invalid_frames_total", "Frames judged INVALID, by cause.", ["camera", "cause"])
LABEL_IMAGES = Counter(
    "vigia_label_images_total",
    "Images by request to models that give labels: found (one label or more), nothing, or the cause of no answer.",
    ["outcome"],
)
STAGE_SECONDS = Histogram(
    "vigia_stage_seconds", "Time a frame spends in a stage.", ["service", "stage"], buckets=STAGE_BUCKETS
)
CAMERA_RECONNECTS = Counter("vigia_camera_reconnects_total", "Connections made anew.", ["camera", "reason"])
CAMERA_LAST_FRAME = Gauge(
    "vigia_camera_last_frame_timestamp_seconds", "Unix time of the last frame of a camera.", ["camera"]
)
CAMERA_BLIND_SECONDS = Counter("vigia_camera_blind_seconds_total", "Time without frames from a camera.", ["camera"])
CAMERA_STATE = Gauge("vigia_camera_state", "1 for the state a camera is in, else 0.", ["camera", "state"])

# Model servers (detection) ----------------------------------------------------------------------------------------
MODEL_SERVER_REFUSALS = Counter(
    "vigia_model_server_refusals_total",
    "Requests that a model server did not answer: busy, away, late, failed.",
    ["end"],
)
MODEL_SERVER_WAITS = Counter(
    "vigia_model_server_waits_total", "Times an image waited because no model server could be reached."
)

# Inspections (aggregator) ----------------------------------------------------------------------------------------
INSPECTIONS_WRITTEN = Counter(
    "vigia_inspections_written_total", "Rows newly written, repeats not counted.", ["line", "camera", "verdict"]
)
INSPECTION_STAGE_SECONDS = Histogram(
    "vigia_inspection_stage_seconds",
    "Stages of inspections newly written: those the inspection names; store; capture_to_row.",
    ["stage"],
    buckets=STAGE_BUCKETS,
)

# Hosting (registry) ----------------------------------------------------------------------------------------------
HOSTED_MODELS = Gauge("vigia_hosting_models", "Model versions by observed state.", ["observed"])
HOSTING_SECONDS = Histogram(
    "vigia_hosting_step_seconds",
    "Time of a step: load, warm, golden, drain, unload.",
    ["step"],
    buckets=(0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 40, 80, 160),
)
HOSTING_FAILURES = Counter("vigia_hosting_failures_total", "Steps that failed.", ["step", "code"])
_VERSION = ["account", "service", "project", "version"]
UNITS_DESIRED = Gauge("vigia_hosting_units_desired", "Inference units that a version should have.", _VERSION)
UNITS_IN_SERVICE = Gauge("vigia_hosting_units_in_service", "Inference units of a version that answer.", _VERSION)
UNITS_BUSY = Gauge(
    "vigia_hosting_units_busy", "Inference units of a version at work, mean of the last window.", _VERSION
)
HOSTING_QUEUE_SECONDS = Gauge(
    "vigia_hosting_queue_seconds", "Mean wait in Triton's queue of the requests of the last window.", _VERSION
)
SCALINGS = Counter(
    "vigia_hosting_scalings_total", "Changes of a version's units, by direction: out, in.", [*_VERSION, "direction"]
)

# Keeping (registry) ----------------------------------------------------------------------------------------------
ANNOUNCED_AGAIN = Counter(
    "vigia_announced_again_total", "Keys of a compacted topic that were not as the registry has them.", ["topic"]
)
OBJECTS_EXPIRED = Counter(
    "vigia_objects_expired_total", "Objects deleted because they were kept long enough.", ["bucket"]
)

# Training --------------------------------------------------------------------------------------------------------
TRAINING_JOBS = Counter("vigia_training_jobs_total", "Jobs by end: completed, failed.", ["end"])
TRAINING_SECONDS = Histogram(
    "vigia_training_job_seconds", "Time of a job.", buckets=(10, 20, 40, 60, 90, 120, 180, 300, 600, 1800, 3600)
)
TRAINING_RUNNING = Gauge("vigia_training_running_jobs", "Jobs running now.")
