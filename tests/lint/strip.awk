# Removes comments from C, and with strings=0 the contents of strings; keeps the lines.
{
    out = ""
    n = length($0)
    for (i = 1; i <= n; i++) {
        c = substr($0, i, 1)
        two = substr($0, i, 2)
        if (comment) {
            if (two == "*/") {
                comment = 0
                i++
            }
        } else if (quote != "") {
            if (c == "\\") {
                if (strings)
                    out = out two
                i++
            } else if (c == quote) {
                quote = ""
                out = out c
            } else if (strings) {
                out = out c
            }
        } else if (two == "/*") {
            comment = 1
            i++
        } else {
            if (c == "\"" || c == "'")
                quote = c
            out = out c
        }
    }
    quote = ""
    print out
}
