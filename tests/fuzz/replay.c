/* Runs a target on files instead of libFuzzer's inventions: replay_NAME FILE-OR-DIRECTORY...
 * What is found under a directory is run in the order of its names. */
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_BYTES_MAX (1 << 20)

static size_t run_file(const char *path)
{
    static uint8_t bytes[FILE_BYTES_MAX];
    FILE *file = fopen(path, "rb");
    MUST(file != NULL);
    size_t size = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    fprintf(stderr, "%s\n", path); /* the last one named is the one that fails */
    LLVMFuzzerTestOneInput(bytes, size);
    return 1;
}

static size_t run_directory(const char *path)
{
    struct dirent **entries;
    size_t files = 0;
    int count = scandir(path, &entries, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        char name[4096];
        snprintf(name, sizeof name, "%s/%s", path, entries[i]->d_name);
        if (entries[i]->d_name[0] != '.')
            files += run_file(name);
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
    return files;
}

static size_t run(const char *path)
{
    struct stat about;
    if (stat(path, &about) != 0)
        return 0;
    return S_ISDIR(about.st_mode) ? run_directory(path) : run_file(path);
}

int main(int argc, char **argv)
{
    size_t files = 0;
    for (int i = 1; i < argc; i++)
        files += run(argv[i]);
    printf("%zu inputs\n", files);
    return files > 0 ? 0 : 1;
}
