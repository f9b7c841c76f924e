// The virtual board: the Verilated top level, its clock, and the serial line at its pins.
//
//   board line IDLE CLOCK BAUD [LINK]         opens a pseudo-terminal; commands on stdin, answers on stdout; at the
//                                             end, removes the symbolic link LINK if it is to the terminal
//   board script IDLE CLOCK BAUD IN OUT       sends the chunks of IN, one after the other, and writes the output to OUT
//
// IDLE: clock cycles without a byte on the line after which the device sends nothing more by itself.
// With BYTE_PORT the line is the byte-wide port of `byte_port.BytePort`; otherwise it is a UART's two pins, at BAUD for a
// clock of CLOCK Hz, in `line` mode at the baud rate that the client set.
//
// Commands: `s` prints the counters, `p` is a power cycle, `u` replaces the terminal by a new one. The program ends
// at the end of stdin. Files: a chunk is a u32 length and its bytes; length 0xFFFFFFFF is a power cycle.

#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <memory>
#include <string>

#include "Vtop.h"
#include "verilated.h"

namespace {

constexpr int BURST = 128;                   // cycles between two polls of stdin and the terminal
constexpr int POWER_ON = 512;                // cycles before the first byte is sent: the device is in reset
constexpr size_t MAX_UNREAD = 1 << 16;       // bytes of output that are kept for a client; more are lost
constexpr size_t MAX_QUEUED = 4096;          // bytes of input that are queued before a client's write blocks
constexpr uint32_t POWER_CYCLE = 0xFFFFFFFF;

[[noreturn]] void fail(const char* what) {
    std::perror(what);
    std::exit(1);
}

// The line and its pins. `before` is called at each falling clock edge, `after` at each rising one.
struct Line {
    std::deque<uint8_t> to_device;
    std::string from_device;
    uint64_t bytes_in = 0, bytes_out = 0, framing_errors = 0;  // received and sent by the device; sent without a stop bit

#ifdef BYTE_PORT
    bool rx_valid = false;
    void rate(uint64_t, uint64_t) {}
    void before(Vtop& top) {
        rx_valid = !to_device.empty();
        top.rx_valid = rx_valid;
        top.rx_data = rx_valid ? to_device.front() : 0;
        top.tx_ready = from_device.size() < MAX_UNREAD;
    }
    bool after(const Vtop& top, bool rx_ready) {
        if (rx_valid && rx_ready) to_device.pop_front(), ++bytes_in;
        if (top.tx_valid) from_device.push_back(char(top.tx_data)), ++bytes_out;
        return (rx_valid && rx_ready) || top.tx_valid;
    }
    static bool ready(const Vtop& top) { return top.rx_ready; }
#else
    uint64_t clock = 1, baud = 1;
    uint64_t send_time = 0, receive_time = 0;  // in clock cycles times the baud rate
    int sent_bits = 0, received_bits = -1;     // -1: waiting for a start bit
    unsigned sending = 0x3FF, receiving = 0;   // start bit lowest
    void rate(uint64_t new_clock, uint64_t new_baud) { clock = new_clock, baud = new_baud; }
    void before(Vtop& top) {
        if (sent_bits == 0 && !to_device.empty()) {
            sending = to_device.front() << 1 | 0x200;
            to_device.pop_front(), sent_bits = 10;
        }
        top.rx = sent_bits ? sending & 1 : 1;
    }
    static bool ready(const Vtop&) { return true; }
    bool after(const Vtop& top, bool) {
        const bool moving = sent_bits || received_bits >= 0;
        if (sent_bits == 0) {
            send_time = 0;
        } else if ((send_time += baud) >= clock) {
            send_time -= clock, sending >>= 1;
            if (--sent_bits == 0) ++bytes_in;
        }
        if (received_bits < 0) {
            if (!top.tx) received_bits = 0, receive_time = clock / 2;  // then sample in the middle of each bit
        } else if ((receive_time += baud) >= clock) {
            receive_time -= clock;
            receiving = receiving >> 1 | unsigned(top.tx) << 9;
            if (++received_bits == 10) finish();
        }
        return moving || !top.tx;
    }
    void finish() {
        received_bits = -1, ++bytes_out;
        if (!(receiving >> 9 & 1)) ++framing_errors;
        if (from_device.size() < MAX_UNREAD) from_device.push_back(char(receiving >> 1));
    }
#endif
};

class Board {
public:
    Line line;
    uint64_t cycles = 0, last_transfer = 0;  // since the program began; the last one in which a byte was transferred
    double seconds = 0;                      // wall time of simulating

    Board() { power_on(); }
    void power_on() {
        const Line old = line;
        top.reset();
        context = std::make_unique<VerilatedContext>();
        top = std::make_unique<Vtop>(context.get());
        line = Line();
        line.bytes_in = old.bytes_in, line.bytes_out = old.bytes_out, line.framing_errors = old.framing_errors;
        top->rst = 0;
        run(POWER_ON);
        last_transfer = cycles;
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
        const bool rx_ready = line.ready(*top);
        top->clk = 1;
        top->eval();
        if (line.after(*top, rx_ready)) last_transfer = cycles;
        ++cycles;
    }
};

// A pseudo-terminal. Its other end is kept open too, so that clients can close and reopen it.
class Terminal {
public:
    ~Terminal() { unplug(); }
    void plug(uint64_t baud) {
        if ((master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK)) < 0 || grantpt(master) || unlockpt(master)) fail("pty");
        if ((slave = open(ptsname(master), O_RDWR | O_NOCTTY)) < 0) fail("pty");
        termios2 raw{};
        raw.c_cflag = CS8 | CREAD | CLOCAL | BOTHER;
        raw.c_ispeed = raw.c_ospeed = baud;
        raw.c_cc[VMIN] = 1;
        if (ioctl(slave, TCSETS2, &raw)) fail("pty");
        std::printf("port %s\n", ptsname(master));
    }
    void unplug() { close(slave), close(master); }
    int descriptor() const { return master; }
    void remove_link(const char* link) const {
        char target[4096];
        const ssize_t size = readlink(link, target, sizeof target);
        if (size > 0 && std::string(target, size_t(size)) == ptsname(master)) unlink(link);
    }
    uint64_t baud() const {
        termios2 now{};
        if (ioctl(slave, TCGETS2, &now)) fail("pty");
        return now.c_ospeed;
    }
    void receive(std::deque<uint8_t>& bytes) const {
        uint8_t buffer[4096];
        const ssize_t count = read(master, buffer, sizeof buffer);
        if (count > 0) bytes.insert(bytes.end(), buffer, buffer + count);
    }
    bool send(std::string& bytes) const {
        const ssize_t count = write(master, bytes.data(), bytes.size());
        if (count > 0) bytes.erase(0, count);
        return count > 0;
    }

private:
    int master = -1, slave = -1;
};

void report(const Board& board) {
    std::printf("counters %llu %.6f %llu %llu %llu %llu %u\n", (unsigned long long)board.cycles, board.seconds,
                (unsigned long long)board.last_transfer, (unsigned long long)board.line.bytes_in,
                (unsigned long long)board.line.bytes_out, (unsigned long long)board.line.framing_errors, board.leds());
}

// Executes one command; false at the end of stdin.
bool execute(Board& board, Terminal& terminal, uint64_t baud) {
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

void serve(uint64_t idle_cycles, uint64_t clock, uint64_t baud, const char* link) {
    Board board;
    Terminal terminal;
    terminal.plug(baud);
    for (;;) {
        const bool unread = !board.line.from_device.empty(), accepting = board.line.to_device.size() < MAX_QUEUED;
        const bool asleep = board.cycles - board.last_transfer > idle_cycles && board.line.to_device.empty();
        pollfd outside[] = {{STDIN_FILENO, POLLIN, 0},
                            {terminal.descriptor(), short((accepting ? POLLIN : 0) | (unread ? POLLOUT : 0)), 0}};
        if (poll(outside, 2, asleep ? -1 : 0) < 0 && errno != EINTR) fail("poll");
        if (outside[0].revents && !execute(board, terminal, baud)) {
            if (link) terminal.remove_link(link);
            return;
        }
        if (outside[1].revents & POLLIN) terminal.receive(board.line.to_device);
        const bool woken = (unread && terminal.send(board.line.from_device)) || !board.line.to_device.empty();
        board.line.rate(clock, terminal.baud());
        if (asleep && woken) board.last_transfer = board.cycles;
        if (woken || !asleep) board.run(BURST);
    }
}

void play(uint64_t idle_cycles, uint64_t clock, uint64_t baud, const char* in, const char* out) {
    std::FILE* chunks = std::fopen(in, "rb");
    std::FILE* answers = std::fopen(out, "wb");
    if (!chunks || !answers) fail("files");
    Board board;
    for (uint32_t size; std::fread(&size, sizeof size, 1, chunks) == 1;) {
        if (size == POWER_CYCLE) board.power_on(), size = 0;
        for (board.line.rate(clock, baud); size--;) board.line.to_device.push_back(uint8_t(std::fgetc(chunks)));
        board.last_transfer = board.cycles;
        while (board.cycles - board.last_transfer <= idle_cycles) board.run(16);
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
    std::signal(SIGPIPE, SIG_IGN);  // a parent that was killed reads no answer; the link is removed all the same
    if (argc < 5) return 2;
    const uint64_t idle_cycles = std::strtoull(argv[2], nullptr, 10), clock = std::strtoull(argv[3], nullptr, 10),
                   baud = std::strtoull(argv[4], nullptr, 10);
    if ((argc == 5 || argc == 6) && std::string(argv[1]) == "line") {
        return serve(idle_cycles, clock, baud, argc == 6 ? argv[5] : nullptr), 0;
    }
    if (argc == 7 && std::string(argv[1]) == "script") return play(idle_cycles, clock, baud, argv[5], argv[6]), 0;
    return 2;
}
