#include "tests/fault/crash.h"
bool thread_fsync_fails(uint64_t seed)
{
    (void)seed;
    return true;
}
bool thread_write_fails(uint64_t seed)
{
    (void)seed;
    return true;
}
bool thread_disk_full(uint64_t seed)
{
    (void)seed;
    return true;
}
bool thread_disk_full_at_start(uint64_t seed)
{
    (void)seed;
    return true;
}
bool thread_read_only(uint64_t seed)
{
    (void)seed;
    return true;
}
