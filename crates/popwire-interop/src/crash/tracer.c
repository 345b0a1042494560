/*
 * Ends a program at its n-th system call that touches the disk or the wire.
 *
 *   crash --report FILE [--kill N [--after]] [--limit SECONDS]
 *         [--root FOLDER --durable FOLDER [--names]] COMMAND [ARGUMENT...]
 *
 * Runs COMMAND, and counts these calls over all its threads and all its descendants. With --kill, before the N-th of
 * them is executed (with --after: when it has returned), all these processes die by SIGKILL. When they are dead, --durable
 * makes a folder with what a loss of power leaves of the folder --root, or with --names, one that leaves the names: see
 * shadow.c. FILE tells what came of it:
 *
 *   calls NUMBER
 *   killed CALL(WHAT) | ended WAIT-STATUS
 *
 * What COMMAND writes to its standard output and error does not count, as long as that is what this program has too.
 * Reading a file does not count, nor does opening it: neither leaves a trace. Linux 5.3 or later, for the registers of
 * any machine. The calls stop by a seccomp filter, so that all others run at full speed.
 */
#define _GNU_SOURCE
#include "shadow.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__x86_64__)
#define MACHINE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define MACHINE AUDIT_ARCH_AARCH64
#else
#error "written for x86_64 and aarch64"
#endif

/* When a call counts: always, where nothing is said. `argument` is the descriptor or the path to look at, and to report. */
enum kind {
    ON_PATH,
    ON_FD,
    WRITES, /* to a file, a socket or a pipe */
    READS, /* from a socket or a pipe */
    CLOSES, /* a socket */
    OPENS, /* and may create or truncate: the flags are the next argument */
    OPENS_2, /* likewise, in the structure that the next argument points to */
    LOCKS, /* if the command, the next argument, is one that sets a lock */
    FLUSHES, /* a file or folder */
    FLUSHES_ALL, /* the file system that a file is on */
    ALONE, /* nothing to look at */
};

static const struct call {
    int number;
    const char *name;
    enum kind kind;
    unsigned argument;
} calls[] = {
#define CALL(name, kind, argument) { SYS_##name, #name, kind, argument }
    CALL(openat, OPENS, 1), CALL(openat2, OPENS_2, 1), CALL(close, CLOSES, 0),
    CALL(read, READS, 0), CALL(readv, READS, 0),
    CALL(recvfrom, READS, 0), CALL(recvmsg, READS, 0), CALL(recvmmsg, READS, 0),
    CALL(write, WRITES, 0), CALL(writev, WRITES, 0), CALL(pwrite64, WRITES, 0),
    CALL(pwritev, WRITES, 0), CALL(pwritev2, WRITES, 0), CALL(sendfile, WRITES, 0),
    CALL(splice, WRITES, 2), CALL(copy_file_range, WRITES, 2),
    CALL(sendto, ON_FD, 0), CALL(sendmsg, ON_FD, 0), CALL(sendmmsg, ON_FD, 0),
    CALL(connect, ON_FD, 0), CALL(shutdown, ON_FD, 0),
    CALL(truncate, ON_PATH, 0), CALL(ftruncate, ON_FD, 0), CALL(fallocate, ON_FD, 0),
    CALL(fchmod, ON_FD, 0), CALL(fchmodat, ON_PATH, 1),
    CALL(renameat2, ON_PATH, 3), CALL(linkat, ON_PATH, 3), CALL(symlinkat, ON_PATH, 2),
    CALL(unlinkat, ON_PATH, 1), CALL(mkdirat, ON_PATH, 1), CALL(mknodat, ON_PATH, 1),
    CALL(flock, ON_FD, 0), CALL(fcntl, LOCKS, 0),
    CALL(fsync, FLUSHES, 0), CALL(fdatasync, FLUSHES, 0), CALL(syncfs, FLUSHES_ALL, 0), CALL(sync, ALONE, 0),
    CALL(sync_file_range, ON_FD, 0), CALL(msync, ALONE, 0),
#ifdef SYS_renameat
    CALL(renameat, ON_PATH, 3),
#endif
#ifdef SYS_open /* and the others that new machines do without */
    CALL(open, OPENS, 0), CALL(creat, ON_PATH, 0), CALL(rename, ON_PATH, 1), CALL(link, ON_PATH, 1),
    CALL(symlink, ON_PATH, 1), CALL(unlink, ON_PATH, 0), CALL(mkdir, ON_PATH, 0), CALL(rmdir, ON_PATH, 0),
    CALL(mknod, ON_PATH, 0), CALL(chmod, ON_PATH, 0),
#endif
#undef CALL
};
enum { CALLS = sizeof calls / sizeof *calls };

struct thread {
    pid_t tid;
    struct flush *flush; /* by the call that it is in */
    bool last; /* when that call returns, all ends */
    char what[PATH_MAX + 64]; /* that call, if it is the last */
    struct thread *next;
};

static struct thread *threads; /* that have ever stopped, and live */
static struct stat outputs[2]; /* our own, and so COMMAND's */

static uint64_t chosen; /* the call to end with; 0: none */
static bool after;
static const char *root, *durable;

static uint64_t count;
static char ended_by[PATH_MAX + 64]; /* the call, once it was reached */

noreturn void die(const char *format, ...)
{
    int reason = errno;
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "crash: ");
    vfprintf(stderr, format, arguments);
    fprintf(stderr, ": %s\n", strerror(reason));
    exit(125);
}

void *must(void *allocated)
{
    if (!allocated) die("memory");
    return allocated;
}

/* ---- The filter ------------------------------------------------------------------------------------------------ */

/* Each call of the table stops, with its place in the table; io_uring would pass the filter by, and is not there. */
static void install_filter(void)
{
    struct sock_filter filter[2 * CALLS + 8], *at = filter;
#define ADD(...) (*at++ = (struct sock_filter) __VA_ARGS__)
    ADD(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)));
    ADD(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MACHINE, 1, 0));
    ADD(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS));
    ADD(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)));
    ADD(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1));
    ADD(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS));
    for (unsigned call = 0; call < CALLS; call++) {
        ADD(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, calls[call].number, 0, 1));
        ADD(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE | call));
    }
    ADD(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
#undef ADD
    struct sock_fprog program = { .len = at - filter, .filter = filter };
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) die("PR_SET_NO_NEW_PRIVS");
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) die("PR_SET_SECCOMP");
}

/* ---- One call -------------------------------------------------------------------------------------------------- */

/* From the memory of the thread; false where it has none. `size` may be more than there is. */
static bool peek(pid_t tid, uint64_t address, void *into, size_t size)
{
    struct iovec here = { into, size }, there = { (void *)(uintptr_t)address, size };
    return process_vm_readv(tid, &here, 1, &there, 1, 0) > 0;
}

static mode_t type_of(pid_t tid, uint64_t fd, bool *is_output)
{
    char path[64];
    struct stat status;
    snprintf(path, sizeof path, "/proc/%d/fd/%d", tid, (int)fd);
    if (stat(path, &status)) return 0;
    *is_output = false;
    for (int at = 0; at < 2; at++)
        *is_output |= status.st_dev == outputs[at].st_dev && status.st_ino == outputs[at].st_ino;
    return status.st_mode & S_IFMT;
}

static bool counts(pid_t tid, const struct call *call, const uint64_t *arguments)
{
    uint64_t argument = arguments[call->argument], next = arguments[call->argument + 1];
    bool is_output = false;
    mode_t type;
    switch (call->kind) {
    case WRITES:
        type = type_of(tid, argument, &is_output);
        return !is_output && (type == S_IFREG || type == S_IFSOCK || type == S_IFIFO);
    case READS:
        type = type_of(tid, argument, &is_output);
        return type == S_IFSOCK || type == S_IFIFO;
    case CLOSES:
        return type_of(tid, argument, &is_output) == S_IFSOCK;
    case OPENS_2:
        if (!peek(tid, next, &next, sizeof next)) return false;
        /* fallthrough */
    case OPENS:
        return next & (O_CREAT | O_TRUNC | (O_TMPFILE & ~O_DIRECTORY));
    case LOCKS:
        return next == F_SETLK || next == F_SETLKW || next == F_OFD_SETLK || next == F_OFD_SETLKW;
    default:
        return true;
    }
}

static void describe(pid_t tid, const struct call *call, const uint64_t *arguments, char *into, size_t size)
{
    char what[PATH_MAX] = "";
    uint64_t argument = arguments[call->argument];
    if (call->kind == ON_PATH || call->kind == OPENS || call->kind == OPENS_2) {
        /* Octet by octet: what is behind the string may not be ours to read. */
        for (size_t at = 0; at < sizeof what - 1 && peek(tid, argument + at, what + at, 1) && what[at]; at++) continue;
    } else if (call->kind != ALONE) {
        char path[64];
        snprintf(path, sizeof path, "/proc/%d/fd/%d", tid, (int)argument);
        if (readlink(path, what, sizeof what - 1) < 0) what[0] = 0;
    }
    what[sizeof what - 1] = 0;
    for (char *at = what; *at; at++)
        if (*at == '\n') *at = ' ';
    snprintf(into, size, "%s(%s)", call->name, what);
}

/* A call begins. What to continue the thread with; 0 if this is the end. */
static int enter(struct thread *thread)
{
    pid_t tid = thread->tid;
    struct __ptrace_syscall_info info;
    if (ptrace(PTRACE_GET_SYSCALL_INFO, tid, sizeof info, &info) < 0) {
        if (errno == ESRCH) return PTRACE_CONT; /* killed by another meanwhile */
        die("PTRACE_GET_SYSCALL_INFO");
    }
    const struct call *call = &calls[info.seccomp.ret_data];
    const uint64_t *arguments = info.seccomp.args;
    if (!counts(tid, call, arguments)) return PTRACE_CONT;
    bool last = ++count == chosen;
    if (last && !after) {
        describe(tid, call, arguments, ended_by, sizeof ended_by);
        return 0;
    }
    struct flush *flush = NULL;
    if (root && call->kind == FLUSHES)
        flush = shadow_fsync(tid, arguments[0]);
    else if (root && call->kind == FLUSHES_ALL)
        flush = shadow_syncfs(tid, arguments[0]);
    else if (root && call->number == SYS_sync)
        flush = shadow_syncfs(tid, -1);
    if (!last && !flush) return PTRACE_CONT;
    thread->flush = flush;
    thread->last = last;
    if (last) describe(tid, call, arguments, thread->what, sizeof thread->what);
    return PTRACE_SYSCALL;
}

/* The call has returned, and the thread stops here only if we asked for it. False if this is the end. */
static bool leave(struct thread *thread)
{
    struct __ptrace_syscall_info info;
    bool known = ptrace(PTRACE_GET_SYSCALL_INFO, thread->tid, sizeof info, &info) >= 0;
    shadow_end(thread->flush, known && info.op == PTRACE_SYSCALL_INFO_EXIT && !info.exit.is_error);
    thread->flush = NULL;
    if (thread->last) memcpy(ended_by, thread->what, sizeof ended_by);
    return !thread->last;
}

/* ---- All threads ----------------------------------------------------------------------------------------------- */

static struct thread *thread_of(pid_t tid)
{
    for (struct thread *thread = threads; thread; thread = thread->next)
        if (thread->tid == tid) return thread;
    struct thread *thread = must(calloc(1, sizeof *thread));
    *thread = (struct thread){ .tid = tid, .next = threads };
    return threads = thread;
}

static void gone(pid_t tid)
{
    struct thread **at = &threads;
    while (*at && (*at)->tid != tid) at = &(*at)->next;
    struct thread *thread = *at;
    if (!thread) return;
    *at = thread->next;
    shadow_end(thread->flush, false);
    free(thread);
}

/* A thread has stopped. What to continue it with, and with which signal; 0 if this is the end. */
static int stopped(pid_t tid, int status, int *signal)
{
    struct thread *thread = thread_of(tid);
    unsigned long former;
    int stop = WSTOPSIG(status);
    *signal = 0;
    switch (status >> 16) {
    case 0:
        if (stop == (SIGTRAP | 0x80)) return leave(thread) ? PTRACE_CONT : 0;
        *signal = stop;
        return PTRACE_CONT;
    case PTRACE_EVENT_SECCOMP:
        return enter(thread);
    case PTRACE_EVENT_EXEC:
        /* Whichever thread it was, it has the number of the process now, and the one with that number is no more. */
        gone(tid);
        if (!ptrace(PTRACE_GETEVENTMSG, tid, 0, &former)) gone(former);
        thread_of(tid);
        return PTRACE_CONT;
    case PTRACE_EVENT_STOP:
        /* The begin of a new thread, or a stop of the whole process, which SIGCONT ends. */
        return stop == SIGTRAP ? PTRACE_CONT : PTRACE_LISTEN;
    default:
        return PTRACE_CONT;
    }
}

/* Until all have ended, by themselves or by us. The status of `command`. */
static int trace(pid_t command)
{
    int status, signal, end = 0;
    pid_t tid;
    bool killing = false;
    while ((tid = waitpid(-1, &status, __WALL)) > 0) {
        if (!WIFSTOPPED(status)) {
            if (tid == command) end = status;
            gone(tid);
            continue;
        }
        int how = killing ? 0 : stopped(tid, status, &signal);
        if (how) {
            if (ptrace(how, tid, 0, signal) < 0 && errno != ESRCH) die("continuing %d", tid);
            continue;
        }
        /* A call that has not begun is not executed then. Who is not known yet has not begun to run, and stops first. */
        killing = true;
        kill(tid, SIGKILL);
        for (struct thread *thread = threads; thread; thread = thread->next) kill(thread->tid, SIGKILL);
    }
    if (errno != ECHILD) die("waitpid");
    return end;
}

/* COMMAND, traced. After `limit` seconds this program dies by SIGALRM, and therefore all the others. */
static pid_t start(char **command, unsigned limit)
{
    int go[2];
    char octet = 0;
    if (pipe2(go, O_CLOEXEC)) die("pipe");
    pid_t child = fork();
    if (child < 0) die("fork");
    if (!child) {
        close(go[1]);
        if (read(go[0], &octet, 1) != 1) _exit(125);
        install_filter();
        execvp(command[0], command);
        die("%s", command[0]);
    }
    alarm(limit);
    if (root) shadow_begin(root);
    long options = PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACESECCOMP | PTRACE_O_TRACEEXEC
        | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK;
    if (ptrace(PTRACE_SEIZE, child, 0, options)) die("PTRACE_SEIZE (does this sandbox refuse ptrace?)");
    if (write(go[1], &octet, 1) != 1) die("write");
    close(go[0]);
    close(go[1]);
    return child;
}

static uint64_t number(const char *text)
{
    char *rest;
    errno = 0;
    uint64_t value = strtoull(text, &rest, 10);
    if (!errno && (*rest || rest == text || !value)) errno = EINVAL;
    if (errno) die("%s", text);
    return value;
}

int main(int argc, char **argv)
{
    static const struct option names[] = {
        { "report", required_argument, NULL, 'r' }, { "kill", required_argument, NULL, 'k' },
        { "after", no_argument, NULL, 'a' }, { "root", required_argument, NULL, 't' },
        { "durable", required_argument, NULL, 'd' }, { "names", no_argument, NULL, 'n' },
        { "limit", required_argument, NULL, 'l' }, { 0 },
    };
    const char *report = NULL;
    bool keep_names = false;
    unsigned limit = 60;
    int option;
    /* "+": what follows the command is the command's */
    while ((option = getopt_long(argc, argv, "+", names, NULL)) != -1) {
        switch (option) {
        case 'r': report = optarg; break;
        case 'k': chosen = number(optarg); break;
        case 'a': after = true; break;
        case 't': root = optarg; break;
        case 'd': durable = optarg; break;
        case 'n': keep_names = true; break;
        case 'l': limit = number(optarg); break;
        default: return 125;
        }
    }
    errno = EINVAL;
    if (!report || optind == argc || !root != !durable) die("the command line, which is described in tracer.c");
    FILE *out = fopen(report, "we");
    if (!out) die("%s", report);
    for (int at = 0; at < 2; at++)
        if (fstat(STDOUT_FILENO + at, &outputs[at])) die("standard output and error must be open");

    pid_t child = start(argv + optind, limit);
    int status = trace(child);
    if (durable) shadow_write(durable, keep_names);
    fprintf(out, "calls %" PRIu64 "\n", count);
    if (ended_by[0])
        fprintf(out, "killed %s\n", ended_by);
    else
        fprintf(out, "ended %d\n", status);
    if (fclose(out)) die("%s", report);
    return 0;
}
