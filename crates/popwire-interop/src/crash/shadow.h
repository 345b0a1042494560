/* What would be on the disk if the power went now. */
#ifndef SHADOW_H
#define SHADOW_H

#include <stdbool.h>
#include <stdnoreturn.h>
#include <sys/types.h>

/* What one call is about to make durable. */
struct flush;

/* From now on, of the tree below `root`: what is there is durable. */
void shadow_begin(const char *root);

/* Before the call: what fsync of descriptor `fd` of thread `tid` will flush; NULL if that is neither file nor folder. */
struct flush *shadow_fsync(pid_t tid, int fd);

/* Before the call: what syncfs of that descriptor will flush, or sync if `fd` is -1; NULL for another file system. */
struct flush *shadow_syncfs(pid_t tid, int fd);

/* After the call: it succeeded or it did not. `flush` may be NULL, and is gone. */
void shadow_end(struct flush *flush, bool succeeded);

/* Makes the folder `into`, with the tree as it is after the loss of power; with `names`, all names as they are now. */
void shadow_write(const char *into, bool names);

/* Ends this program, and thereby all that it traces, with "crash: ...: reason of errno". */
noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

void *must(void *allocated);

#endif
