/* A line between two network namespaces of this program's own, with a delay, a rate and a loss.

   link BITS_PER_SECOND NANOSECONDS LOST_PER_MILLION SEED QUEUE_BYTES

   Each namespace has a TUN device: 10.77.0.1 is the near end, 10.77.0.2 the far one. What the kernel sends into one
   comes out of the other after NANOSECONDS, at that rate and behind a queue of so many bytes, whose overflow is
   dropped. Once both are up it prints the numbers of two open files, the namespaces, which others open through
   /proc/PID/fd. To each line of its input it answers, near end first, how many frames each has sent, how many of them
   were lost, dropped and delivered, and how many bytes have been. It ends with its input, and all that it made with it.

   The kernel hands over large frames, as it does to a network card that cuts them up. They stay whole where all of
   their segments go through, and are cut where one does not; every segment takes its own time and its own risk. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL
#define HEAD sizeof(struct virtio_net_hdr)
#define LONGEST (HEAD + 65536)
/* Preamble, header, checksum and the gap after each frame: what Ethernet adds to a packet. */
#define ETHERNET 38
#define AT_ONCE 64

struct frame {
    struct frame *next;
    int64_t due;
    int segments;
    size_t size;
    unsigned char data[];
};

struct end {
    int device;
    uint64_t chance;
    int64_t free_at;
    struct frame *first, **last;
    long long sent, lost, dropped, delivered, bytes;
};

static struct end ends[2];
static int64_t rate, delay, queue;
static uint64_t lost_per_million;

static void fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * SECOND + time.tv_nsec;
}

static int is_lost(struct end *from)
{
    from->chance ^= from->chance << 13;
    from->chance ^= from->chance >> 7;
    from->chance ^= from->chance << 17;
    return (from->chance >> 11) % 1000000 < lost_per_million;
}

static uint32_t sum(const void *data, size_t size, uint32_t total)
{
    const unsigned char *bytes = data;
    for (size_t at = 0; at + 1 < size; at += 2)
        total += bytes[at] << 8 | bytes[at + 1];
    return total;
}

static uint16_t folded(uint32_t total)
{
    while (total >> 16)
        total = (total & 0xffff) + (total >> 16);
    return htons(total);
}

/* A frame of the segments from one up to another of a large one. */
static struct frame *part(const unsigned char *data, size_t heads, size_t size, size_t segment, int from, int upto)
{
    size_t start = (size_t)from * segment, end = (size_t)upto * segment;
    if (end > size)
        end = size;
    size_t length = end - start;
    struct frame *made = malloc(sizeof *made + HEAD + heads + length);
    if (!made)
        fail("malloc");
    *made = (struct frame){.segments = upto - from, .size = HEAD + heads + length};
    memcpy(made->data, data, HEAD + heads);
    memcpy(made->data + HEAD + heads, data + HEAD + heads + start, length);
    if (length == size)
        return made;

    struct virtio_net_hdr *about = (void *)made->data;
    if (length <= segment) {
        about->gso_type = VIRTIO_NET_HDR_GSO_NONE;
        about->gso_size = 0;
    }
    struct iphdr *ip = (void *)(made->data + HEAD);
    ip->tot_len = htons(heads + length);
    ip->id = htons(ntohs(ip->id) + from);
    ip->check = 0;
    ip->check = ~folded(sum(ip, ip->ihl * 4, 0));
    struct tcphdr *tcp = (void *)((unsigned char *)ip + ip->ihl * 4);
    tcp->seq = htonl(ntohl(tcp->seq) + start);
    if (end < size)
        tcp->fin = tcp->psh = 0;
    /* As the kernel leaves it to a card: the sum of the addresses, the protocol and the length alone. */
    tcp->check = folded(sum(&ip->saddr, 8, IPPROTO_TCP + heads - ip->ihl * 4 + length));
    return made;
}

static void accept_frame(struct end *from, const unsigned char *data, size_t size)
{
    const struct virtio_net_hdr *about = (const void *)data;
    size_t heads = 0, segment = size - HEAD;
    if (about->gso_type != VIRTIO_NET_HDR_GSO_NONE) {
        const struct iphdr *ip = (const void *)(data + HEAD);
        heads = ip->ihl * 4 + ((const struct tcphdr *)((const unsigned char *)ip + ip->ihl * 4))->doff * 4;
        segment = about->gso_size;
    }
    size_t body = size - HEAD - heads;
    int count = body ? (body + segment - 1) / segment : 1;
    int64_t moment = now();
    if (from->free_at < moment)
        from->free_at = moment;
    for (int at = 0, begin = 0; at <= count; at++) {
        size_t length = at + 1 < count ? segment : body - (size_t)(count - 1) * segment;
        int64_t bits = (heads + length + ETHERNET) * 8;
        int goes = 0;
        if (at < count) {
            from->sent++;
            if (is_lost(from))
                from->lost++;
            else if ((__int128)(from->free_at - moment) * rate / 8 / SECOND + bits / 8 > queue)
                from->dropped++;
            else
                goes = 1;
        }
        if (goes) {
            from->free_at += bits * SECOND / rate;
            continue;
        }
        if (begin < at) {
            struct frame *made = part(data, heads, body, segment, begin, at);
            made->due = from->free_at + delay;
            *from->last = made;
            from->last = &made->next;
        }
        begin = at + 1;
    }
}

static void deliver(struct end *from, struct end *to)
{
    int64_t moment = now();
    struct frame *frame;
    while ((frame = from->first) && frame->due <= moment) {
        if (write(to->device, frame->data, frame->size) < 0 && errno == EAGAIN)
            return;
        from->delivered += frame->segments;
        from->bytes += frame->size - HEAD;
        from->first = frame->next;
        if (!from->first)
            from->last = &from->first;
        free(frame);
    }
}

static void take(struct end *from)
{
    static unsigned char data[LONGEST];
    for (int count = 0; count < AT_ONCE; count++) {
        ssize_t size = read(from->device, data, sizeof data);
        if (size < 0 && errno == EAGAIN)
            return;
        if (size < 0)
            fail("read from the device");
        accept_frame(from, data, size);
    }
}

static void set(const char *name, const char *value)
{
    char path[128];
    snprintf(path, sizeof path, "/proc/sys/net/%s", name);
    int file = open(path, O_WRONLY);
    if (file < 0 || write(file, value, strlen(value)) < 0)
        fail(path);
    close(file);
}

static void address(int control, unsigned long kind, const char *name, const char *value)
{
    struct ifreq request = {0};
    struct sockaddr_in *place = (void *)&request.ifr_addr;
    strcpy(request.ifr_name, name);
    place->sin_family = AF_INET;
    inet_pton(AF_INET, value, &place->sin_addr);
    if (ioctl(control, kind, &request))
        fail("give the device an address");
}

static void bring_up(int control, const char *name)
{
    struct ifreq request = {0};
    strcpy(request.ifr_name, name);
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    if (ioctl(control, SIOCSIFFLAGS, &request))
        fail("bring the device up");
}

/* Go to a new namespace and put one end of the line there; the open file of the namespace. */
static int make_end(struct end *end, const char *here, const char *there)
{
    if (unshare(CLONE_NEWNET))
        fail("make a network namespace");
    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR};
    strcpy(request.ifr_name, "line");
    end->device = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (end->device < 0 || ioctl(end->device, TUNSETIFF, &request))
        fail("make a device with /dev/net/tun");
    if (ioctl(end->device, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4))
        fail("take large frames");
    /* What a Linux of today has, whatever this computer's own settings are; and no line that is known from before. */
    set("ipv4/tcp_rmem", "4096 131072 6291456");
    set("ipv4/tcp_wmem", "4096 16384 4194304");
    set("ipv4/tcp_no_metrics_save", "1");
    set("ipv6/conf/all/disable_ipv6", "1");
    int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (control < 0)
        fail("socket");
    request.ifr_qlen = 10000;
    if (ioctl(control, SIOCSIFTXQLEN, &request))
        fail("give the device a queue");
    address(control, SIOCSIFADDR, "line", here);
    address(control, SIOCSIFDSTADDR, "line", there);
    bring_up(control, "line");
    bring_up(control, "lo");
    close(control);
    int namespace = open("/proc/self/ns/net", O_RDONLY);
    if (namespace < 0)
        fail("open the network namespace");
    return namespace;
}

static void answer(void)
{
    for (struct end *end = ends; end < ends + 2; end++)
        printf("%lld %lld %lld %lld %lld%c", end->sent, end->lost, end->dropped, end->delivered, end->bytes,
               end == ends ? ' ' : '\n');
    fflush(stdout);
}

static void run(void)
{
    struct pollfd waited[] = {{.fd = ends[0].device, .events = POLLIN},
                              {.fd = ends[1].device, .events = POLLIN},
                              {.fd = STDIN_FILENO, .events = POLLIN}};
    for (;;) {
        int64_t due = INT64_MAX;
        for (int at = 0; at < 2; at++) {
            deliver(&ends[at], &ends[!at]);
            if (ends[at].first && ends[at].first->due < due)
                due = ends[at].first->due;
        }
        int64_t left = due - now();
        struct timespec patience = {0};
        if (left > 0)
            patience = (struct timespec){left / SECOND, left % SECOND};
        if (ppoll(waited, 3, due == INT64_MAX ? NULL : &patience, NULL) < 0 && errno != EINTR)
            fail("ppoll");
        for (int at = 0; at < 2; at++)
            if (waited[at].revents)
                take(&ends[at]);
        if (waited[2].revents) {
            char asked[64];
            if (read(STDIN_FILENO, asked, sizeof asked) <= 0)
                return;
            answer();
        }
    }
}

int main(int count, char **words)
{
    if (count != 6) {
        fprintf(stderr, "link BITS_PER_SECOND NANOSECONDS LOST_PER_MILLION SEED QUEUE_BYTES\n");
        return 2;
    }
    rate = atoll(words[1]);
    delay = atoll(words[2]);
    lost_per_million = strtoull(words[3], NULL, 10);
    queue = atoll(words[5]);
    /* Ctrl-C is for who started this, and ends it by ending its input. */
    signal(SIGINT, SIG_IGN);
    int near = make_end(&ends[0], "10.77.0.1", "10.77.0.2");
    int far = make_end(&ends[1], "10.77.0.2", "10.77.0.1");
    for (int at = 0; at < 2; at++) {
        ends[at].chance = (strtoull(words[4], NULL, 10) * 2 + at + 1) * 0x9E3779B97F4A7C15ULL;
        ends[at].last = &ends[at].first;
        for (int turn = 0; turn < 16; turn++)
            is_lost(&ends[at]);
    }
    /* A line does not slow down when the computers at its ends are busy. */
    struct sched_param first = {.sched_priority = 1};
    if (get_nprocs() > 1)
        sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &first);
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    printf("%d %d\n", near, far);
    fflush(stdout);
    run();
    return 0;
}
