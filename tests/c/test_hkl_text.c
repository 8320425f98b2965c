/* Reading plain reflections: the same doubles as strtod, and no byte beyond the text. */
#include "check.h"
#include "nanobragg.h"

#include <stdlib.h>
#include <string.h>

enum { MOST = 64 };

static int64_t hkl[3 * MOST], box[6];
static double amplitude[MOST];

/* Reads a copy that ends where the text ends, so that the sanitizer sees a read past it. */
static int64_t read_text(const char *text, size_t length, int64_t capacity) {
    char *copy = malloc(length > 0 ? length : 1);
    if (copy == NULL) return -2;
    memcpy(copy, text, length);
    int64_t n = nb_read_plain_hkl(copy, (int64_t)length, capacity, hkl, amplitude, box);
    free(copy);
    return n;
}

static int64_t rows(const char *text) {
    return read_text(text, strlen(text), MOST);
}

static void test_plain(void) {
    CHECK(rows("1 2 -3 4.5\n\n  -7 +8\t9 .25  \r\n0 0 0 1e") == -1);
    CHECK(rows("1 2 -3 4.5\n\n  -7 +8\t9 .25  \r\n0 0 0 7") == 3);
    CHECK(hkl[0] == 1 && hkl[2] == -3 && hkl[3] == -7 && hkl[4] == 8);
    CHECK(amplitude[0] == 4.5 && amplitude[1] == 0.25 && amplitude[2] == 7.0);
    CHECK(box[0] == -7 && box[1] == 0 && box[2] == -3 && box[3] == 1 && box[4] == 8 && box[5] == 9);
    CHECK(rows("") == 0);
    CHECK(rows(" \n\n") == 0);
}

static void test_not_plain(void) {
    static const char *const TEXTS[] = {
        "1 2 3",       "1 2 3 4 5",        "1 2 3\n4 5 6 7",         "1.0 2 3 4", "1 2 3 4e1",
        "1 2 3 nan",   "# 1 2 3 4",        "1 2 3 4 # comment",      "- 1 2 3 4", "1 2 3 .",
        "1 2 3 4.5.6", "3000000000 0 0 1", "1 2 3 1234567890123456", "1 2 3 --4"};
    for (size_t i = 0; i < sizeof TEXTS / sizeof *TEXTS; i++)
        CHECK(rows(TEXTS[i]) == -1);
    CHECK(read_text("1 2 3 4\n5 6 7 8\n", 16, 1) == -1);
}

static void test_digits(void) {
    unsigned long long seed = 7;
    char text[64];
    for (int i = 0; i < 100000; i++) {
        double value = test_uniform(&seed) * pow(10.0, (double)(int)(test_uniform(&seed) * 9.0));
        int length = snprintf(text, sizeof text, "1 2 3 %.*f", (int)(test_uniform(&seed) * 7.0), value);
        CHECK(read_text(text, (size_t)length, 1) == 1);
        CHECK(amplitude[0] == strtod(text + 6, NULL));
    }
}

static void test_any_bytes(void) {
    static const char BYTES[] = "0123456789+-. \t\r\nex";
    unsigned long long seed = 11;
    char text[40];
    for (int i = 0; i < 300000; i++) {
        size_t length = (size_t)(test_uniform(&seed) * sizeof text);
        for (size_t j = 0; j < length; j++)
            text[j] = BYTES[(size_t)(test_uniform(&seed) * (sizeof BYTES - 1))];
        int64_t n = read_text(text, length, 4);
        CHECK(n >= -1 && n <= 4);
    }
}

int main(void) {
    test_plain();
    test_not_plain();
    test_digits();
    test_any_bytes();
    return check_result();
}
