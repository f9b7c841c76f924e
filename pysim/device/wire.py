"""Widths, sizes and constants of the device protocol (docs/protocol.md), each bound here and nowhere else.

The widths of a lease number and of a key are those of the cipher: `LEASE_BITS` in pysim/model/source.py and `KEY_BYTES`
in pysim/model/trivium.py.
"""

PROTOCOL_VERSION = 2

# frames
CRC_BITS = 32
CRC_BYTES = CRC_BITS // 8
MIN_BODY = 2  # bytes: kind and tag
MAX_BODY = 250  # bytes: with the CRC 254, the most that COBS encodes with one byte more

# fields of messages
TAG_BITS = 8
RESULT_BITS = 8
FLAGS_BITS = 8
FORMAT_BITS = 8
NONCE_BITS = 32
QUOTA_BITS = 32
RECORD_STEPS_BITS = 16
POSITION_BITS = 32  # of a byte in a stream; positions wrap
ROOM_BITS = 16
DAMAGED_BITS = 16  # frames dropped; the count saturates

# fields of IDENTITY alone
VERSION_BITS = 16
DIGEST_BITS = 256
LANES_BITS = 8
WORD_SOURCES_BITS = 8
NEURONS_BITS = 32
OUTPUT_WIDTH_BITS = 8
BUFFER_BITS = 16
CLOCK_BITS = 32
CADENCE_BITS = 32
INDICES_BITS = 16
RELEASE_BITS = 8
CLASSES_BITS = 8
WORD_WIDTH_BITS = 8
WORDS_BITS = 32  # of a number of words of the decision's width

POSITION_MODULUS = 1 << POSITION_BITS
MAX_QUOTA = (1 << QUOTA_BITS) - 1
MAX_RECORD_STEPS = (1 << RECORD_STEPS_BITS) - 1
MAX_DAMAGED = (1 << DAMAGED_BITS) - 1
MAX_CLOCK_HZ = (1 << CLOCK_BITS) - 1

# secrets
SEED_BYTES = 16  # of an LFSR seed: 127 bits and a top bit that is ignored

# input formats
FIXED_FORMAT = 0
TAGGED_FORMAT = 1
COUNT_BITS = 8  # of the count in front of a step of format 1, on the fast schedule
BITMAP_COUNT = 255  # the count of a step that is a bitmap
INDEX_BITS = 16  # of an input index in format 1 where one byte does not suffice
