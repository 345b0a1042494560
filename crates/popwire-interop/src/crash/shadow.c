/*
 * A shadow of a tree: what of it is surely on the disk, in the strictest reading of POSIX.
 *
 * A file's octets are those that it had when an fsync that succeeded began, and none before the first. A folder's names
 * are those that it had when an fsync of the folder began. Nothing else survives: not what the kernel may have written in
 * the meantime, not what a journal would have kept in order. A file that was moved is therefore under its old name until
 * the old folder is flushed, and under the new one once the new folder is: under both, or under none.
 *
 * That is one extreme. A file system may also have kept all names, and of the octets only those that were flushed: files
 * that were moved into their place too early are empty there.
 *
 * Neither O_SYNC nor msync nor sync_file_range makes anything durable here.
 *
 * What a flush covers is noted when the call begins, since what other threads write during the call may not be covered,
 * and counts when it has returned.
 */
#define _GNU_SOURCE
#include "shadow.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

struct name {
    char *name;
    struct node *node;
};

struct listing {
    struct name *names;
    size_t count;
};

/* A file, folder or symbolic link. It lives as long as this program, and so does its number: `held` sees to that. */
struct node {
    dev_t device;
    ino_t number;
    mode_t mode;
    int held;
    unsigned long as_of; /* the beginning of the flush that made it what it is */
    int octets; /* of a file: a memory file with what is durable; -1 before the first flush */
    struct listing listing; /* of a folder: what is durable */
    char *target; /* of a symbolic link */
    char *written; /* where shadow_write has put it */
    bool open; /* shadow_write is inside this folder */
};

/* What one node will be when the flush has succeeded. */
struct change {
    struct node *node;
    unsigned long as_of;
    int octets;
    struct listing listing;
    struct change *next;
};

struct flush {
    struct change *changes;
};

static void *nodes; /* of tsearch, by device and number */
static struct node *top;
static unsigned long now; /* counts the flushes that have begun */

static int order(const void *left, const void *right)
{
    const struct node *a = left, *b = right;
    if (a->device != b->device) return a->device < b->device ? -1 : 1;
    return a->number < b->number ? -1 : a->number > b->number;
}

/* The node behind `fd`, which may be an O_PATH descriptor and stays the caller's. */
static struct node *node_of(int fd)
{
    struct stat status;
    if (fstat(fd, &status)) die("fstat");
    struct node key = { .device = status.st_dev, .number = status.st_ino };
    struct node **found = tfind(&key, &nodes, order);
    if (found) return *found;

    struct node *node = must(calloc(1, sizeof *node));
    *node = key;
    node->mode = status.st_mode;
    node->octets = -1;
    if ((node->held = fcntl(fd, F_DUPFD_CLOEXEC, 3)) < 0) die("holding a file");
    if (S_ISLNK(status.st_mode)) {
        char target[4096];
        ssize_t length = readlinkat(fd, "", target, sizeof target - 1);
        if (length < 0) die("readlink");
        target[length] = 0;
        node->target = must(strdup(target));
    }
    must(tsearch(node, &nodes, order));
    return node;
}

static void copy(int from, int to)
{
    ssize_t copied;
    do {
        copied = sendfile(to, from, NULL, 1 << 20);
    } while (copied > 0 || (copied < 0 && errno == EINTR));
    if (copied < 0) die("copying a file");
}

static void forget(struct listing *listing)
{
    for (size_t at = 0; at < listing->count; at++) free(listing->names[at].name);
    free(listing->names);
    *listing = (struct listing){ 0 };
}

/* What is in the folder now. False if a name was moved or removed while we looked: the listing is of no one moment. */
static bool list(DIR *folder, struct listing *listing)
{
    rewinddir(folder);
    for (;;) {
        errno = 0;
        struct dirent *read = readdir(folder);
        if (!read && errno) die("readdir");
        if (!read) return true;
        if (!strcmp(read->d_name, ".") || !strcmp(read->d_name, "..")) continue;
        int fd = openat(dirfd(folder), read->d_name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0 && errno == ENOENT) return false;
        if (fd < 0) die("%s", read->d_name);
        listing->names = must(realloc(listing->names, (listing->count + 1) * sizeof *listing->names));
        listing->names[listing->count++] = (struct name){ must(strdup(read->d_name)), node_of(fd) };
        close(fd);
    }
}

enum extent { ITSELF, ALL_BELOW, FOLDERS_BELOW };

/* Notes what `path` is now, and what is below it. */
static void note(struct flush *flush, const char *path, enum extent extent)
{
    int fd = open(path, O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT && extent != ITSELF) return; /* gone since it was listed */
    if (fd < 0) die("%s", path);
    struct change *change = must(calloc(1, sizeof *change));
    *change = (struct change){ .node = node_of(fd), .as_of = now, .octets = -1, .next = flush->changes };
    flush->changes = change;

    if (S_ISREG(change->node->mode)) {
        if ((change->octets = memfd_create("octets", MFD_CLOEXEC)) < 0) die("memfd_create");
        copy(fd, change->octets);
        close(fd);
        return;
    }
    DIR *folder = must(fdopendir(fd));
    while (!list(folder, &change->listing)) forget(&change->listing);
    closedir(folder);
    for (size_t at = 0; extent != ITSELF && at < change->listing.count; at++) {
        struct name *name = &change->listing.names[at];
        if (!S_ISDIR(name->node->mode) && (!S_ISREG(name->node->mode) || extent == FOLDERS_BELOW)) continue;
        char below[64];
        snprintf(below, sizeof below, "/proc/self/fd/%d", name->node->held);
        note(flush, below, extent);
    }
}

static struct flush *begin(const char *path, enum extent extent)
{
    struct flush *flush = must(calloc(1, sizeof *flush));
    now++;
    note(flush, path, extent);
    return flush;
}

void shadow_begin(const char *root)
{
    /* Every file is held open. The command, which has been forked already, keeps the limit that there was. */
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files)) die("getrlimit");
    files.rlim_cur = files.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &files)) die("setrlimit");

    struct flush *all = begin(root, ALL_BELOW);
    int fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) die("%s", root);
    top = node_of(fd);
    close(fd);
    shadow_end(all, true);
}

struct flush *shadow_fsync(pid_t tid, int fd)
{
    char path[64];
    struct stat status;
    snprintf(path, sizeof path, "/proc/%d/fd/%d", tid, fd);
    if (stat(path, &status) || (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode))) return NULL;
    return begin(path, ITSELF);
}

struct flush *shadow_syncfs(pid_t tid, int fd)
{
    char path[64];
    struct stat status;
    snprintf(path, sizeof path, "/proc/%d/fd/%d", tid, fd);
    if (fd >= 0 && (stat(path, &status) || status.st_dev != top->device)) return NULL;
    snprintf(path, sizeof path, "/proc/self/fd/%d", top->held);
    return begin(path, ALL_BELOW);
}

void shadow_end(struct flush *flush, bool succeeded)
{
    struct change *change = flush ? flush->changes : NULL;
    while (change) {
        struct node *node = change->node;
        /* A flush that began later may have ended before this one. */
        if (succeeded && node->as_of < change->as_of) {
            struct change before = { .octets = node->octets, .listing = node->listing };
            node->as_of = change->as_of;
            node->octets = change->octets;
            node->listing = change->listing;
            change->octets = before.octets;
            change->listing = before.listing;
        }
        if (change->octets >= 0) close(change->octets);
        forget(&change->listing);
        struct change *next = change->next;
        free(change);
        change = next;
    }
    free(flush);
}

static void write_node(struct node *node, const char *path)
{
    switch (node->mode & S_IFMT) {
    case S_IFDIR:
        if (node->open) return; /* moved about so that it is below itself, by the names that are durable */
        if (mkdir(path, 0700)) die("mkdir %s", path);
        node->open = true;
        for (size_t at = 0; at < node->listing.count; at++) {
            char *below;
            if (asprintf(&below, "%s/%s", path, node->listing.names[at].name) < 0) die("memory");
            write_node(node->listing.names[at].node, below);
            free(below);
        }
        node->open = false;
        if (chmod(path, node->mode & 07777)) die("chmod %s", path);
        return;
    case S_IFLNK:
        if (symlink(node->target, path)) die("symlink %s", path);
        return;
    case S_IFREG:
        if (node->written) {
            if (link(node->written, path)) die("link %s", path);
            return;
        }
        node->written = must(strdup(path));
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0) die("%s", path);
        if (node->octets >= 0) {
            if (lseek(node->octets, 0, SEEK_SET)) die("lseek");
            copy(node->octets, fd);
        }
        if (fchmod(fd, node->mode & 07777) || close(fd)) die("%s", path);
        return;
    default:
        return; /* a socket, a pipe, a device: no octets of anybody's */
    }
}

void shadow_write(const char *into, bool names)
{
    if (names) {
        char path[64];
        snprintf(path, sizeof path, "/proc/self/fd/%d", top->held);
        shadow_end(begin(path, FOLDERS_BELOW), true);
    }
    write_node(top, into);
}
