/* Stands in for libFuzzer's main in plain builds: runs the target once on each file named
 * on the command line; directories are walked.  Prints how many files it ran, and fails
 * when there was none. */
#define _GNU_SOURCE
#include <ftw.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FILE_MAX = 16 * 1024 * 1024, OPEN_DIRS_MAX = 8 };

static unsigned n_files;

static int run_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    uint8_t *data = malloc(FILE_MAX);
    if (f == NULL || data == NULL) {
        perror(path);
        exit(EXIT_FAILURE);
    }
    size_t n = fread(data, 1, FILE_MAX, f);
    fclose(f);
    LLVMFuzzerTestOneInput(data, n);
    free(data);
    n_files++;
    return 0;
}

static int visit(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st;
    (void)where;
    return kind == FTW_F ? run_file(path) : 0;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (nftw(argv[i], visit, OPEN_DIRS_MAX, FTW_PHYS) != 0) {
            perror(argv[i]);
            return EXIT_FAILURE;
        }
    }
    printf("%u files\n", n_files);
    return n_files > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
