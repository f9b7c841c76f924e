/* A client of the device's protocol in plain C, written from docs/protocol.md alone.

   It identifies the device, opens one lease and runs records through it, stop and wait:

       cc -O2 -o client client.c
       ./client PORT                                      the identity of the device
       ./client PORT LEASE STEPS RECORDS < steps > out    bitmaps in, output steps out, as in the page

   It uses no ledger, so no budget pays for what it releases: use it for public data on a device under test. Its key is
   published below. A Trivium device with a baked network is expected. */

#define _DEFAULT_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

static const uint8_t KEY[10] = "spikeveil!"; /* published: it protects nothing */

enum { VERSION = 2 };
static const char *const RELEASES[] = {"spikes", "potentials", "k-ary decisions", "one-hot decisions"};
enum { IDENTIFY = 1, POLL = 2, OPEN = 5, INPUT = 6, TAKE = 7, IDENTITY = 0x81, STATUS = 0x82, OUTPUT = 0x83 };
enum { OK = 0, MAX_BODY = 250, MAX_FRAME = 255, PIECE = 128, TIMEOUT_MS = 200, TRIES = 20 };

static int line;
static uint8_t partial[MAX_FRAME + 1]; /* the frame that has arrived in part */
static size_t partial_size;
static uint8_t *output; /* everything released so far, indexed by position */
static uint32_t received, due, nonce;

static void fail(const char *sentence) {
    fprintf(stderr, "client: %s\n", sentence);
    exit(1);
}

/* Little-endian integers */

static uint8_t *put(uint8_t *at, uint64_t value, int bytes) {
    for (int i = 0; i < bytes; i++) *at++ = (uint8_t)(value >> 8 * i);
    return at;
}

static uint64_t get(const uint8_t *at, int bytes) {
    uint64_t value = 0;
    for (int i = bytes; i-- > 0;) value = value << 8 | at[i];
    return value;
}

/* Frames */

static uint32_t crc32(const uint8_t *data, size_t size) {
    uint32_t crc = 0xFFFFFFFF;
    while (size--) {
        crc ^= *data++;
        for (int i = 0; i < 8; i++) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320 : 0);
    }
    return ~crc;
}

static void send_body(const uint8_t *body, size_t size) {
    uint8_t content[MAX_BODY + 4], frame[MAX_FRAME + 1];
    memcpy(content, body, size);
    put(content + size, crc32(body, size), 4);
    size_t code = 0, at = 1; /* index of the code byte; of the next free byte */
    for (size_t i = 0; i < size + 4; i++) {
        if (content[i]) frame[at++] = content[i];
        else frame[code] = (uint8_t)(at - code), code = at++;
    }
    frame[code] = (uint8_t)(at - code);
    frame[at++] = 0;
    for (size_t sent = 0; sent < at;) {
        ssize_t count = write(line, frame + sent, at - sent);
        if (count < 0) fail("the line is gone");
        sent += (size_t)count;
    }
}

/* Decode the frame in `partial`: the size of its body, 0 where it is damaged. */
static size_t decode(uint8_t *body) {
    size_t size = 0;
    if (partial_size < 7 || partial_size > MAX_FRAME) return 0;
    for (size_t at = 0; at < partial_size;) {
        size_t next = at + partial[at];
        if (next > partial_size) return 0;
        while (++at < next) body[size++] = partial[at];
        if (at < partial_size) body[size++] = 0;
    }
    if (size < 6 || crc32(body, size - 4) != get(body + size - 4, 4)) return 0;
    return size - 4;
}

/* Receive one body of any kind: its size, 0 on time-out. */
static size_t receive(uint8_t *body, int milliseconds) {
    struct pollfd ready = {.fd = line, .events = POLLIN};
    while (poll(&ready, 1, milliseconds) > 0) {
        uint8_t byte;
        if (read(line, &byte, 1) != 1) fail("the line is gone");
        if (byte) {
            if (partial_size <= MAX_FRAME) partial[partial_size++] = byte;
            continue;
        }
        size_t size = decode(body);
        partial_size = 0;
        if (size) return size;
    }
    return 0;
}

/* Messages */

static void collect(const uint8_t *body, size_t size) {
    uint32_t count = (uint32_t)(size - 16);
    if (size < 16 || get(body + 2, 4) != nonce || get(body + 6, 4) != received) return; /* repeated, or after a gap */
    if (received + count > due) fail("the device released more than the lease holds");
    memcpy(output + received, body + 16, count);
    received += count;
}

/* Send a body once and wait for the answer with its tag: 1 if it arrived, 0 on time-out. */
static int try_to_ask(uint8_t *body, size_t size, uint8_t *answer) {
    static uint8_t tag;
    body[1] = ++tag ? tag : ++tag;
    send_body(body, size);
    for (size_t got; (got = receive(answer, TIMEOUT_MS));) {
        if (answer[0] == OUTPUT) collect(answer, got);
        else if (answer[1] == tag) return 1;
    }
    return 0;
}

static void ask(uint8_t *body, size_t size, uint8_t *answer) {
    for (int i = 0; i < TRIES; i++)
        if (try_to_ask(body, size, answer)) return;
    fail("no answer: is the baud rate right?");
}

static void poll_device(uint8_t *answer) {
    uint8_t body[2] = {POLL};
    ask(body, sizeof body, answer);
    if (answer[0] != STATUS) fail("POLL was not answered by a STATUS");
}

/* Confirm the output received so far; with `resend` the device sends the rest again. The answer is its status. */
static void take(int resend, uint8_t *status) {
    uint8_t body[11] = {TAKE};
    put(put(put(body + 2, nonce, 4), received, 4), (uint64_t)resend, 1);
    ask(body, sizeof body, status);
    if (status[2] != OK) fail("the lease is lost");
}

static void open_lease(uint64_t lease, uint32_t quota, uint32_t steps, uint8_t *answer) {
    uint8_t body[28] = {OPEN}, *at = put(put(put(put(put(body + 2, lease, 5), nonce, 4), quota, 4), steps, 2), 0, 1);
    for (int i = 9; i >= 0; i--) { /* bytes and bits in reverse order */
        uint8_t reversed = 0;
        for (int bit = 0; bit < 8; bit++) reversed |= (uint8_t)((KEY[i] >> bit & 1) << (7 - bit));
        *at++ = reversed;
    }
    for (int i = 0; i < TRIES; i++) {
        if (try_to_ask(body, sizeof body, answer) && answer[2] != OK) break;
        poll_device(answer);
        if (get(answer + 4, 5) == lease && get(answer + 9, 4) == nonce) return;
    }
    fprintf(stderr, "client: OPEN gave result %d; the highest lease is %llu\n", answer[2],
            (unsigned long long)get(answer + 4, 5));
    exit(1);
}

/* Send all input and collect all output. A lost piece is sent again from the input position of the device. */
static void stream(const uint8_t *data, uint32_t size) {
    uint8_t status[MAX_BODY + 4];
    take(0, status);
    while (received < due) {
        uint32_t position = (uint32_t)get(status + 17, 4), room = (uint32_t)get(status + 21, 2), before = received;
        uint32_t count = size - position < PIECE ? size - position : PIECE;
        if (count > room) count = room;
        if (count) {
            uint8_t body[14 + PIECE] = {INPUT};
            memcpy(put(put(put(body + 2, nonce, 4), position, 4), received, 4), data + position, count);
            send_body(body, 14 + count);
        }
        take(0, status);
        if (received == before && get(status + 23, 4) > received) take(1, status);
    }
}

static void identify(uint8_t *identity) {
    uint8_t body[2] = {IDENTIFY};
    ask(body, sizeof body, identity);
    if (identity[0] != IDENTITY) fail("IDENTIFY was not answered by an IDENTITY");
    if (get(identity + 2, 2) != VERSION) fail("the device speaks another version of the protocol than 2");
}

static void print_identity(const uint8_t *identity) {
    printf("fingerprint ");
    for (int i = 0; i < 32; i++) printf("%02x", identity[4 + i]);
    printf("\nflags %u\nlanes %u\ninputs %u\noutputs %u\n", identity[68], identity[69], (unsigned)get(identity + 71, 4),
           (unsigned)get(identity + 75, 4));
    printf("releases %s\nsteps of a record %u\n", identity[98] < 4 ? RELEASES[identity[98]] : "something unknown",
           (unsigned)get(identity + 99, 2));
}

static void open_line(const char *port) {
    struct termios raw;
    line = open(port, O_RDWR | O_NOCTTY);
    if (line < 0 || tcgetattr(line, &raw)) fail("the port could not be opened");
    cfmakeraw(&raw);
#ifdef B1000000
    cfsetspeed(&raw, B1000000);
#else
    cfsetspeed(&raw, B115200);
#endif
    tcsetattr(line, TCSANOW, &raw);
    tcflush(line, TCIOFLUSH);
    if (write(line, "", 1) != 1) fail("the line is gone"); /* one 0x00 ends what was there */
}

int main(int count, char **arguments) {
    uint8_t identity[MAX_BODY + 4], answer[MAX_BODY + 4];
    if (count != 2 && count != 5) fail("usage: client PORT [LEASE STEPS RECORDS < steps > output]");
    open_line(arguments[1]);
    identify(identity);
    if (count == 2) return print_identity(identity), 0;
    uint32_t steps = (uint32_t)atol(arguments[3]), records = (uint32_t)atol(arguments[4]);
    uint32_t required = (uint32_t)get(identity + 99, 2); /* under a decision, the steps of every record */
    if (required && steps != required) fail("the device decides about records of another number of steps");
    uint32_t quota = required ? records : steps * records;
    uint32_t size = steps * records * (uint32_t)((get(identity + 71, 4) + 7) / 8);
    due = quota * (uint32_t)((get(identity + 75, 4) * identity[79] + 7) / 8);
    uint8_t *data = malloc(size + 1);
    output = malloc(due + 1);
    if (!data || !output || fread(data, 1, size, stdin) != size) fail("the input is not so many whole steps");
    FILE *generator = fopen("/dev/urandom", "rb");
    if (!generator || fread(&nonce, sizeof nonce, 1, generator) != 1) fail("there is no random number");
    open_lease(strtoull(arguments[2], NULL, 10), quota, steps, answer);
    stream(data, size);
    return fwrite(output, 1, due, stdout) == due ? 0 : 1;
}
