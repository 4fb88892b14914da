/* Runs every unit suite.  SUITES is the list of suite nouns: S(json) S(money) ...;
 * the build generates it from the file names, so that a suite cannot be forgotten.
 * CK_RUN_SUITE=noun runs one. */
#include <check.h>
#include <stdlib.h>

#define S(noun) Suite *noun##_suite(void);
SUITES
#undef S

int main(void)
{
    SRunner *runner = srunner_create(NULL);
#define S(noun) srunner_add_suite(runner, noun##_suite());
    SUITES
#undef S
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
