/* The fixed small job of a quiet container, again and again: `job SECONDS` prints `KIND NANOSECONDS` for each part. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAUSE 20000000 /* nanoseconds from one job to the next: it is a quiet neighbour */
#define ROUNDS 300000  /* of arithmetic: about a millisecond */

static int64_t now(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * 1000000000LL + at.tv_nsec;
}

static void compute(void)
{
    volatile uint64_t sum = 1;
    for (int n = 0; n < ROUNDS; n++)
        sum = sum * 6364136223846793005ULL + 1442695040888963407ULL;
}

static void process(void)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    waitpid(pid, NULL, 0);
}

static void file(void)
{
    static char block[16384];
    int fd = open("/root/job", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, block, sizeof block) != sizeof block || fdatasync(fd))
        exit(1);
    close(fd);
}

static const struct part {
    const char *name;
    void (*act)(void);
} PARTS[] = {{"compute", compute}, {"process", process}, {"file", file}};

int main(int count, char **args)
{
    int64_t end = now() + (count > 1 ? atoll(args[1]) : 1) * 1000000000LL;
    setvbuf(stdout, NULL, _IOLBF, 0);
    while (now() < end) {
        for (size_t n = 0; n < sizeof PARTS / sizeof *PARTS; n++) {
            int64_t begin = now();
            PARTS[n].act();
            printf("%s %lld\n", PARTS[n].name, (long long)(now() - begin));
        }
        nanosleep(&(struct timespec){0, PAUSE}, NULL);
    }
    return 0;
}
