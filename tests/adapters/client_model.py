"""
Prometheus' messages, told to protobuf's own decoder from the published definition, field by field.

In        bytes of an endpoint
Out       MetricFamily messages
Not here  what writes them (adapters/collector/views/client_model.py), which shares nothing with this
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

FIELD = descriptor_pb2.FieldDescriptorProto
TYPES = {
    "double": FIELD.TYPE_DOUBLE, "uint64": FIELD.TYPE_UINT64, "int64": FIELD.TYPE_INT64, "sint64": FIELD.TYPE_SINT64,
    "sint32": FIELD.TYPE_SINT32, "uint32": FIELD.TYPE_UINT32, "string": FIELD.TYPE_STRING, "int32": FIELD.TYPE_INT32,
}  # fmt: skip

# io/prometheus/client/metrics.proto, with its enum as a number.
PUBLISHED = """
Timestamp: int64 seconds 1, int32 nanos 2
LabelPair: string name 1, string value 2
Gauge: double value 1
Counter: double value 1, Exemplar exemplar 2, Timestamp created_timestamp 3
Bucket: uint64 cumulative_count 1, double cumulative_count_float 4, double upper_bound 2, Exemplar exemplar 3
BucketSpan: sint32 offset 1, uint32 length 2
Exemplar: *LabelPair label 1, double value 2, Timestamp timestamp 3
Histogram: uint64 sample_count 1, double sample_count_float 4, double sample_sum 2, *Bucket bucket 3, sint32 schema 5, \
double zero_threshold 6, uint64 zero_count 7, double zero_count_float 8, *BucketSpan negative_span 9, \
*sint64 negative_delta 10, *double negative_count 11, *BucketSpan positive_span 12, *sint64 positive_delta 13, \
*double positive_count 14, Timestamp created_timestamp 15, *Exemplar exemplars 16
Metric: *LabelPair label 1, Gauge gauge 2, Counter counter 3, Histogram histogram 7, int64 timestamp_ms 6
MetricFamily: string name 1, string help 2, int32 type 3, *Metric metric 4, string unit 5
"""


def _family() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="metrics.proto", package="published", syntax="proto2")
    for line in PUBLISHED.strip().splitlines():
        name, _, fields = line.partition(": ")
        message = file.message_type.add(name=name)
        for field in fields.split(", "):
            kind, called, number = field.split()
            label = FIELD.LABEL_REPEATED if kind.startswith("*") else FIELD.LABEL_OPTIONAL
            added = message.field.add(name=called, number=int(number), label=label)
            kind = kind.removeprefix("*")
            if kind in TYPES:
                added.type = TYPES[kind]
            else:
                added.type, added.type_name = FIELD.TYPE_MESSAGE, f".published.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("published.MetricFamily"))


FAMILY = _family()


def decoded(body: bytes) -> Iterator[Any]:
    """Yield the messages of *body*, each of which stands behind its length."""
    position = 0
    while position < len(body):
        length = shift = 0
        while True:
            byte = body[position]
            position += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                break
        yield FAMILY.FromString(body[position : position + length])
        position += length
