/* The standard library of Rust asks here, at each start, where the stack of the main thread ends: only to say "has overflowed its stack" where the stack of that thread was too small, before the
 * process ends by a signal all the same. glibc reads /proc/self/maps line by line for an answer, a tenth of what a short command takes. So nobody knows where a stack ends; Rust's library
 * is prepared for that, and does not ask in a program linked with musl. */
#include <errno.h>

int pthread_getattr_np(unsigned long thread, void *attributes) {
    (void)thread;
    (void)attributes;
    return ENOSYS;
}
