// The virtual board: the Verilated top level, its clock, and what its pins are wired to.
//
//   board line QUIET CLOCK BAUD               offers a pseudo-terminal; commands on stdin, answers on stdout
//   board script QUIET CLOCK BAUD IN OUT      plays the chunks of IN, one after the other, and writes what came to OUT
//
// QUIET: so many clock cycles without a byte on the line mean that nothing will move before something is sent.
// With BYTE_PORT the line is the byte-wide port of a `bench.ByteBench`; else it is a UART's two pins, at BAUD for a clock of
// CLOCK Hz, in `line` mode at whatever baud rate the client set.
//
// Commands: `s` asks for figures, `p` is a power cycle, `u` unplugs the terminal and plugs in another. The program
// ends with its stdin. Files: a chunk is a u32 length and its bytes; length 0xFFFFFFFF is a power cycle.

#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <memory>
#include <string>

#include "Vtop.h"
#include "verilated.h"

namespace {

constexpr int BURST = 128;                   // cycles between two looks at the outside
constexpr int POWER_ON = 512;                // cycles in which nothing is sent: the device holds itself in reset
constexpr size_t MOST_WAITING = 1 << 16;     // bytes that a client may leave unread before the line loses them
constexpr size_t MOST_QUEUED = 4096;         // bytes that wait for the line before a client's write must wait
constexpr uint32_t POWER_CYCLE = 0xFFFFFFFF;

[[noreturn]] void fail(const char* what) {
    std::perror(what);
    std::exit(1);
}

// What the device's line carries, and how it gets through the pins: a call of `before` at each falling edge of the clock,
// and of `after` at each rising one.
struct Line {
    std::deque<uint8_t> to_device;
    std::string from_device;
    uint64_t bytes_in = 0, bytes_out = 0, broken = 0;  // taken by the device, sent by it, without a stop bit

#ifdef BYTE_PORT
    bool giving = false;
    void rate(uint64_t, uint64_t) {}
    void before(Vtop& top) {
        giving = !to_device.empty();
        top.given = giving;
        top.give = giving ? to_device.front() : 0;
        top.take = from_device.size() < MOST_WAITING;
    }
    bool after(const Vtop& top, bool room) {
        if (giving && room) to_device.pop_front(), ++bytes_in;
        if (top.came) from_device.push_back(char(top.come)), ++bytes_out;
        return (giving && room) || top.came;
    }
    static bool room(const Vtop& top) { return top.room; }
#else
    uint64_t clock = 1, baud = 1;
    uint64_t send_time = 0, receive_time = 0;  // in clock cycles times the baud rate
    int sent_bits = 0, received_bits = -1;     // -1: waits for a start bit
    unsigned sending = 0x3FF, receiving = 0;   // start bit lowest
    void rate(uint64_t new_clock, uint64_t new_baud) { clock = new_clock, baud = new_baud; }
    void before(Vtop& top) {
        if (sent_bits == 0 && !to_device.empty()) {
            sending = to_device.front() << 1 | 0x200;
            to_device.pop_front(), sent_bits = 10;
        }
        top.rx = sent_bits ? sending & 1 : 1;
    }
    static bool room(const Vtop&) { return true; }
    bool after(const Vtop& top, bool) {
        const bool moving = sent_bits || received_bits >= 0;
        if (sent_bits == 0) {
            send_time = 0;
        } else if ((send_time += baud) >= clock) {
            send_time -= clock, sending >>= 1;
            if (--sent_bits == 0) ++bytes_in;
        }
        if (received_bits < 0) {
            if (!top.tx) received_bits = 0, receive_time = clock / 2;  // from here on, samples in the middle of a bit
        } else if ((receive_time += baud) >= clock) {
            receive_time -= clock;
            receiving = receiving >> 1 | unsigned(top.tx) << 9;
            if (++received_bits == 10) finish();
        }
        return moving || !top.tx;
    }
    void finish() {
        received_bits = -1, ++bytes_out;
        if (!(receiving >> 9 & 1)) ++broken;
        if (from_device.size() < MOST_WAITING) from_device.push_back(char(receiving >> 1));
    }
#endif
};

class Board {
public:
    Line line;
    uint64_t cycles = 0, moved = 0;  // since the program began; the last one in which something moved
    double seconds = 0;              // of simulating

    Board() { power_on(); }
    void power_on() {
        const Line old = line;
        top.reset();
        context = std::make_unique<VerilatedContext>();
        top = std::make_unique<Vtop>(context.get());
        line = Line();
        line.bytes_in = old.bytes_in, line.bytes_out = old.bytes_out, line.broken = old.broken;
        top->rst = 0;
        run(POWER_ON);
        moved = cycles;
    }
    void run(int count) {
        const auto start = std::chrono::steady_clock::now();
        while (count--) cycle();
        seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    }
    unsigned leds() const { return top->leds; }

private:
    std::unique_ptr<VerilatedContext> context;
    std::unique_ptr<Vtop> top;

    void cycle() {
        top->clk = 0;
        line.before(*top);
        top->eval();
        const bool room = line.room(*top);
        top->clk = 1;
        top->eval();
        if (line.after(*top, room)) moved = cycles;
        ++cycles;
    }
};

// A pseudo-terminal: we hold its other end open too, so that clients may come and go.
class Terminal {
public:
    ~Terminal() { unplug(); }
    void plug(uint64_t baud) {
        if ((here = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK)) < 0 || grantpt(here) || unlockpt(here)) fail("pty");
        if ((there = open(ptsname(here), O_RDWR | O_NOCTTY)) < 0) fail("pty");
        termios2 raw{};
        raw.c_cflag = CS8 | CREAD | CLOCAL | BOTHER;
        raw.c_ispeed = raw.c_ospeed = baud;
        raw.c_cc[VMIN] = 1;
        if (ioctl(there, TCSETS2, &raw)) fail("pty");
        std::printf("port %s\n", ptsname(here));
    }
    void unplug() { close(there), close(here); }
    int descriptor() const { return here; }
    uint64_t baud() const {
        termios2 now{};
        if (ioctl(there, TCGETS2, &now)) fail("pty");
        return now.c_ospeed;
    }
    void receive(std::deque<uint8_t>& bytes) const {
        uint8_t buffer[4096];
        const ssize_t count = read(here, buffer, sizeof buffer);
        if (count > 0) bytes.insert(bytes.end(), buffer, buffer + count);
    }
    bool send(std::string& bytes) const {
        const ssize_t count = write(here, bytes.data(), bytes.size());
        if (count > 0) bytes.erase(0, count);
        return count > 0;
    }

private:
    int here = -1, there = -1;
};

void report(const Board& board) {
    std::printf("figures %llu %.6f %llu %llu %llu %llu %u\n", (unsigned long long)board.cycles, board.seconds,
                (unsigned long long)board.moved, (unsigned long long)board.line.bytes_in,
                (unsigned long long)board.line.bytes_out, (unsigned long long)board.line.broken, board.leds());
}

// False once stdin has ended.
bool obey(Board& board, Terminal& terminal, uint64_t baud) {
    char command;
    if (read(STDIN_FILENO, &command, 1) != 1) return false;
    if (command == 's') report(board);
    if (command == 'u') terminal.unplug(), terminal.plug(baud);
    if (command == 'p') {
        std::deque<uint8_t> lost;
        for (size_t before = 1; before != lost.size();) before = lost.size(), terminal.receive(lost);
        board.power_on();
        std::printf("power\n");
    }
    return true;
}

void serve(uint64_t quiet, uint64_t clock, uint64_t baud) {
    Board board;
    Terminal terminal;
    terminal.plug(baud);
    for (;;) {
        const bool waiting = !board.line.from_device.empty(), hungry = board.line.to_device.size() < MOST_QUEUED;
        const bool asleep = board.cycles - board.moved > quiet && board.line.to_device.empty();
        pollfd outside[] = {{STDIN_FILENO, POLLIN, 0},
                            {terminal.descriptor(), short((hungry ? POLLIN : 0) | (waiting ? POLLOUT : 0)), 0}};
        if (poll(outside, 2, asleep ? -1 : 0) < 0 && errno != EINTR) fail("poll");
        if (outside[0].revents && !obey(board, terminal, baud)) return;
        if (outside[1].revents & POLLIN) terminal.receive(board.line.to_device);
        const bool woken = (waiting && terminal.send(board.line.from_device)) || !board.line.to_device.empty();
        board.line.rate(clock, terminal.baud());
        if (asleep && woken) board.moved = board.cycles;
        if (woken || !asleep) board.run(BURST);
    }
}

void play(uint64_t quiet, uint64_t clock, uint64_t baud, const char* in, const char* out) {
    std::FILE* chunks = std::fopen(in, "rb");
    std::FILE* answers = std::fopen(out, "wb");
    if (!chunks || !answers) fail("files");
    Board board;
    for (uint32_t size; std::fread(&size, sizeof size, 1, chunks) == 1;) {
        if (size == POWER_CYCLE) board.power_on(), size = 0;
        for (board.line.rate(clock, baud); size--;) board.line.to_device.push_back(uint8_t(std::fgetc(chunks)));
        board.moved = board.cycles;
        while (board.cycles - board.moved <= quiet) board.run(16);
        if (!board.line.to_device.empty()) std::fprintf(stderr, "the device takes no bytes\n"), std::exit(3);
        const std::string& answer = board.line.from_device;
        const uint32_t length = uint32_t(answer.size());
        std::fwrite(&length, sizeof length, 1, answers);
        std::fwrite(answer.data(), 1, length, answers);
        board.line.from_device.clear();
    }
    if (std::fclose(answers)) fail("files");
    report(board);
}

}  // namespace

int main(int argc, char** argv) {
    std::setvbuf(stdout, nullptr, _IOLBF, 0);
    if (argc < 5) return 2;
    const uint64_t quiet = std::strtoull(argv[2], nullptr, 10), clock = std::strtoull(argv[3], nullptr, 10),
                   baud = std::strtoull(argv[4], nullptr, 10);
    if (argc == 5 && std::string(argv[1]) == "line") return serve(quiet, clock, baud), 0;
    if (argc == 7 && std::string(argv[1]) == "script") return play(quiet, clock, baud, argv[5], argv[6]), 0;
    return 2;
}
