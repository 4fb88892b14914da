dnl WF_FLAG(VARIABLE, FLAGS): appends FLAGS to VARIABLE when the compiler takes them, together
dnl with what VARIABLE has so far, without a warning (clang only warns of flags it does not
dnl know, so a warning counts as refusal).
AC_DEFUN([WF_FLAG], [
  AC_MSG_CHECKING([whether $CC takes $2])
  wf_saved="$CFLAGS"
  CFLAGS="-O2 $$1 $2 -Werror"
  AC_COMPILE_IFELSE([AC_LANG_SOURCE([int main(void) { return 0; }])],
    [AC_MSG_RESULT([yes]); $1="$$1 $2"], [AC_MSG_RESULT([no])])
  CFLAGS="$wf_saved"
])
dnl WF_LINK_FLAG(VARIABLE, FLAGS): the same for the linker.
AC_DEFUN([WF_LINK_FLAG], [
  AC_MSG_CHECKING([whether the linker takes $2])
  wf_saved="$LDFLAGS" wf_saved_c="$CFLAGS"
  LDFLAGS="$$1 $2" CFLAGS="-O2 $WF_CFLAGS -Werror"
  AC_LINK_IFELSE([AC_LANG_SOURCE([int main(void) { return 0; }])],
    [AC_MSG_RESULT([yes]); $1="$$1 $2"], [AC_MSG_RESULT([no])])
  LDFLAGS="$wf_saved" CFLAGS="$wf_saved_c"
])
dnl WF_MUST_LINK(SWITCH, FLAGS): ends configure when a program cannot be built with FLAGS.
AC_DEFUN([WF_MUST_LINK], [
  AC_MSG_CHECKING([whether $CC can build with $2])
  wf_saved="$CFLAGS"
  CFLAGS="$CFLAGS $2"
  AC_LINK_IFELSE([AC_LANG_SOURCE([int main(void) { return 0; }])], [AC_MSG_RESULT([yes])],
    [AC_MSG_RESULT([no]); AC_MSG_ERROR([$CC does not do $1])])
  CFLAGS="$wf_saved"
])
