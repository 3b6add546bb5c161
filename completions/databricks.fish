# Completion of `databricks` for fish. To have it in every shell: databricks completion install
#
# The program itself is asked what fits (`databricks __complete`). What was typed and what comes back are data: nothing of either is evaluated, and fish quotes what
# it inserts.

# Asks the program, and keeps its answer for the line of `complete` below; false where file names are wanted.
function __databricks_ask
    set -l typed (commandline --current-process --cut-at-cursor --tokenize)
    set -l current (commandline --current-token --cut-at-cursor)
    # The token as it is typed so far: a quote that is still open is closed before the quotes are taken off.
    set -l plain
    for close in '' "'" '"'
        set plain (string unescape -- "$current$close")
        and break
    end
    set -g __databricks_offers
    set -l answer (command databricks __complete $typed[2..-1] "$plain" 2>/dev/null)
    or return 1
    set -l directive $answer[-1]
    set -e answer[-1]
    # fish compares with the whole token, so `--profile=x` is answered with `--profile=` in front.
    set -l base (string match --regex -- '^-[^=]*=' "$plain")
    for line in $answer
        set -a __databricks_offers "$base$line"
    end
    test "$directive" = :4 -o (count $answer) -gt 0
end

complete --command databricks --erase
complete --command databricks --no-files --condition __databricks_ask --arguments '$__databricks_offers'
