dnl WF_FLAG(VARIABLE, FLAGS): appends FLAGS to VARIABLE when the compiler takes them without a
dnl warning (clang warns of flags it does not know, so warnings count as refusal).
AC_DEFUN([WF_FLAG], [
  AC_MSG_CHECKING([whether $CC takes $2])
  wf_saved="$CFLAGS"
  CFLAGS="-O2 -Werror $2"
  AC_COMPILE_IFELSE([AC_LANG_PROGRAM([], [])],
    [AC_MSG_RESULT([yes]); $1="$$1 $2"], [AC_MSG_RESULT([no])])
  CFLAGS="$wf_saved"
])
dnl WF_LINK_FLAG(VARIABLE, FLAGS): the same for the linker.
AC_DEFUN([WF_LINK_FLAG], [
  AC_MSG_CHECKING([whether the linker takes $2])
  wf_saved="$LDFLAGS" wf_saved_c="$CFLAGS"
  LDFLAGS="$2" CFLAGS="-O2 -fPIE"
  AC_LINK_IFELSE([AC_LANG_PROGRAM([], [])],
    [AC_MSG_RESULT([yes]); $1="$$1 $2"], [AC_MSG_RESULT([no])])
  LDFLAGS="$wf_saved" CFLAGS="$wf_saved_c"
])
