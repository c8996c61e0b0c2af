# For scripts that read their params and answer as JSON, with nothing but a POSIX shell and awk: they say
# 'step=<name>' and then '. "$(dirname -- "$0")/_params.sh"'.
export LC_ALL=C

# Gives the text field $1 of the JSON object in $params, its escapes undone; nothing where there is none.
field() {
    printf '%s' "$params" | awk -v wanted="\"$1\"" '
        function number(hex,   value, at) {
            for (at = 1; at <= 4; at++) value = value * 16 + index("123456789abcdef", tolower(substr(hex, at, 1)))
            return value
        }
        function tail(code, shift) { return sprintf("%c", 128 + int(code / shift) % 64) }
        function utf8(code) {
            if (code < 128) return sprintf("%c", code)
            if (code < 2048) return sprintf("%c", 192 + int(code / 64)) tail(code, 1)
            if (code < 65536) return sprintf("%c", 224 + int(code / 4096)) tail(code, 64) tail(code, 1)
            return sprintf("%c", 240 + int(code / 262144)) tail(code, 4096) tail(code, 64) tail(code, 1)
        }
        function plain(text,   done, at, kind, code) {
            while (at = index(text, "\\")) {
                kind = substr(text, at + 1, 1)
                done = done substr(text, 1, at - 1)
                text = substr(text, at + 2)
                if (kind != "u") { done = done (kind in escapes ? escapes[kind] : kind); continue }
                code = number(text)
                text = substr(text, 5)
                if (code >= 55296 && code < 56320) {  # the first half of a pair
                    code = 65536 + (code - 55296) * 1024 + number(substr(text, 3)) - 56320
                    text = substr(text, 7)
                }
                done = done utf8(code)
            }
            return done text
        }
        BEGIN { escapes["n"] = "\n"; escapes["t"] = "\t"; escapes["r"] = "\r"; escapes["b"] = "\b"; escapes["f"] = "\f" }
        { json = json $0 " " }
        END {
            while (match(json, /"([^"\\]|\\.)*"|[][{}:,]/)) {
                token = substr(json, RSTART, RLENGTH)
                json = substr(json, RSTART + RLENGTH)
                if (token ~ /^[[{]/) depth++
                else if (token ~ /^[]}]/) depth--
                else if (token == ",") key = ""
                else if (token == ":") key = name
                else if (key == "") name = token
                else if (key == wanted && depth == 1) value = substr(token, 2, length(token) - 2)
            }
            printf "%s.", plain(value)  # the full stop keeps the shell from cutting newlines at the end
        }'
}

# Writes the text $1 as JSON; bytes that are no UTF-8 become U+FFFD.
quoted() {
    printf '%s.' "$1" | awk '
        function piece(text) {
            if (match(text, "^[][A-Za-z0-9 !#-/:-@^-`{-~]+")) return substr(text, 1, RLENGTH)
            if (match(text, /^([\302-\337]|[\340-\357][\200-\277]|[\360-\364][\200-\277][\200-\277])[\200-\277]/))
                return substr(text, 1, RLENGTH)
            RLENGTH = 1
            text = substr(text, 1, 1)
            return text in code ? sprintf("\\u%04x", code[text]) : "\\ufffd"
        }
        BEGIN { for (at = 1; at < 128; at++) code[sprintf("%c", at)] = at }
        { text = text (NR > 1 ? "\n" : "") $0 }
        END {
            text = substr(text, 1, length(text) - 1)
            while (text != "") { done = done piece(text); text = substr(text, RLENGTH + 1) }
            printf "\"%s\"", done
        }'
}

# Answers with an error and ends.
fail() {
    printf '{"status": "error", "reason": %s, "exit_code": 1, "step": %s}\n' "$(quoted "$1")" "$(quoted "$step")"
    exit 1
}

params=${MATTERSTACK_PARAMS:-}
[ "${1:-}" != "--params" ] || params=${2:-}
case "$params" in
@*) params=$(cat -- "${params#@}" 2>/dev/null) || fail "cannot read the params" ;;
-) params=$(cat) ;;
esac
