// The first process of a Linux guest: 4 KiB reads from /dev/vda past the page cache, as the
// console's `disk-bench` does them (kernel/shell/src/commands/devices.rs). tests/bench/disk.sh
// builds and boots it.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static uint64_t next, end, reads;
static int disk, in_any_order;

static uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void *read_until_the_end(void *unused)
{
    void *bytes;
    uint64_t done = 0;
    if (posix_memalign(&bytes, 4096, 4096))
        return 0;
    while (now() < end) {
        uint64_t n = __atomic_fetch_add(&next, 1, __ATOMIC_RELAXED);
        uint64_t at = in_any_order ? n * 0x9e3779b97f4a7c15ull >> 20 : n;
        if (pread(disk, bytes, 4096, at % reads * 4096) != 4096) {
            printf("read: %s\n", strerror(errno));
            break;
        }
        done++;
    }
    return (void *)done;
}

static void load(const char *module)
{
    char path[100];
    snprintf(path, sizeof path, "/%s.ko", module);
    int file = open(path, O_RDONLY);
    if (file < 0 || syscall(SYS_finit_module, file, "", 0))
        printf("%s: %s\n", module, strerror(errno));
}

int main(void)
{
    mount("dev", "/dev", "devtmpfs", 0, "");
    mount("sys", "/sys", "sysfs", 0, "");
    int console = open("/dev/console", O_RDWR);
    dup2(console, 1);
    const char *modules[] = {"virtio_ring", "virtio", "virtio_pci_legacy_dev",
                             "virtio_pci_modern_dev", "virtio_pci", "virtio_blk"};
    for (int i = 0; i < 6; i++)
        load(modules[i]);
    for (int i = 0; i < 100 && (disk = open("/dev/vda", O_RDONLY | O_DIRECT)) < 0; i++)
        usleep(50000);
    int scheduler = open("/sys/block/vda/queue/scheduler", O_WRONLY);
    if (disk < 0 || write(scheduler, "none", 4) != 4)
        printf("no disk\n");
    uint64_t size = 0;
    ioctl(disk, BLKGETSIZE64, &size);
    reads = size / 4096;
    struct { const char *name; int threads, in_any_order; } rows[] = {
        {"blk_seq_1", 1, 0}, {"blk_seq_64", 64, 0}, {"blk_rand_1", 1, 1}, {"blk_rand_64", 64, 1}};
    for (int row = 0; reads && row < 4; row++) {
        pthread_t threads[64];
        uint64_t done = 0, begin = now();
        next = 0, in_any_order = rows[row].in_any_order, end = begin + 3000000000ull;
        for (int i = 0; i < rows[row].threads; i++)
            pthread_create(&threads[i], 0, read_until_the_end, 0);
        for (int i = 0; i < rows[row].threads; i++) {
            void *its;
            pthread_join(threads[i], &its);
            done += (uint64_t)its;
        }
        printf("%s,%.0f,IOPS\n", rows[row].name, done * 1e9 / (now() - begin));
    }
    reboot(RB_POWER_OFF);
}
