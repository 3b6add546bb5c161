# Completion of `databricks` for bash. To have it in every shell: databricks completion install
#
# The program itself is asked what fits (`databricks __complete`); no other package is needed. What was typed and what comes back are data: nothing of either is
# ever evaluated, and names are quoted before they reach the command line.

# Takes the quotes off a typed text as bash would, expanding nothing. Sets REPLY to the plain text and, where a quote is still open, __databricks_quote to it and
# __databricks_before to the plain text in front of it.
__databricks_plain() {
    local rest=$1 part inside
    REPLY='' __databricks_quote='' __databricks_before=''
    while [[ -n $rest ]]; do
        part=${rest%%[\\\'\"]*}
        rest=${rest:${#part}}
        REPLY+=$part
        case ${rest:0:1} in
        \\)
            REPLY+=${rest:1:1}
            rest=${rest:2}
            ;;
        \')
            rest=${rest:1}
            if [[ ${part: -1} == '$' ]]; then
                # $'…', as `printf %q` writes what has no other form.
                REPLY=${REPLY%?}
                inside=''
                while [[ -n $rest && ${rest:0:1} != \' ]]; do
                    part=${rest%%[\\\']*}
                    [[ -n $part ]] || part=${rest:0:2}
                    inside+=$part
                    rest=${rest:${#part}}
                done
                rest=${rest:1}
                printf -v inside %b "${inside//\\\'/\'}"
                REPLY+=$inside
            elif [[ $rest == *\'* ]]; then
                part=${rest%%\'*}
                REPLY+=$part
                rest=${rest:${#part} + 1}
            else
                __databricks_quote=\' __databricks_before=$REPLY
                REPLY+=$rest
                rest=''
            fi
            ;;
        \")
            __databricks_quote=\" __databricks_before=$REPLY
            rest=${rest:1}
            while [[ -n $rest && -n $__databricks_quote ]]; do
                part=${rest%%[\\\"]*}
                rest=${rest:${#part}}
                REPLY+=$part
                case ${rest:0:2} in
                \"*) __databricks_quote='' rest=${rest:1} ;;
                [\\][\$\`\"\\]) REPLY+=${rest:1:1} rest=${rest:2} ;;
                *) REPLY+=${rest:0:1} rest=${rest:1} ;;
                esac
            done
            ;;
        esac
    done
}

# Writes a plain text so that bash reads it back as it is, within the quote that is open. Sets REPLY.
__databricks_quoted() {
    case $__databricks_quote in
    \')
        REPLY=\'${1//\'/\'\\\'\'}\'
        ;;
    \")
        local text=$1 mark=\"
        text=${text//\\/\\\\}
        text=${text//\"/\\\"}
        text=${text//\$/\\\$}
        text=${text//\`/\\\`}
        # An exclamation mark in double quotes would recall history.
        text=${text//\!/\"\'\!\'\"}
        REPLY=$mark$text$mark
        ;;
    *)
        REPLY=''
        [[ -z $1 ]] || printf -v REPLY %q "$1"
        ;;
    esac
}

_databricks() {
    local REPLY __databricks_quote __databricks_before
    local line=${COMP_LINE:0:COMP_POINT} head='' piece='' kept current base='' answer directive value about
    local -a typed=() values=() abouts=()
    local -i i width=0 limit

    # bash cuts words at = and : too. Pieces that touch each other on the line are one word here; the last piece is what bash will replace.
    for ((i = 0; i <= COMP_CWORD; i++)); do
        piece=${COMP_WORDS[i]}
        if [[ $line == [[:space:]]* ]]; then
            line=${line#"${line%%[![:space:]]*}"}
            __databricks_plain "$head"
            typed+=("$REPLY")
            head=''
        fi
        if ((i < COMP_CWORD)); then
            head+=$piece
            line=${line:${#piece}}
        fi
    done
    piece=$line
    if [[ -n $piece && -z ${piece//[=:@]/} && $COMP_WORDBREAKS == *"${piece: -1}"* ]]; then
        head+=$piece
        piece=''
    fi
    # An @, which could begin the name of a machine, bash replaces together with what stands behind it.
    if [[ $head == *@ && $COMP_WORDBREAKS == *@* ]]; then
        head=${head%@}
        piece=@$piece
    fi
    __databricks_plain "$head"
    head=$REPLY
    __databricks_plain "$piece"
    current=$head$REPLY
    kept=$head$__databricks_before
    # To --profile=x the answer is the value alone.
    [[ $current != -*=* ]] || base=${current%%=*}=

    answer=$(command databricks __complete "${typed[@]:1}" "$current" 2>/dev/null)
    directive=${answer##*:}
    while IFS= read -r line; do
        value=${line%%$'\t'*}
        [[ -n $value ]] || continue
        about=''
        [[ $line != *$'\t'* ]] || about=${line#*$'\t'}
        values+=("$value")
        abouts+=("$about")
        ((${#value} <= width)) || width=${#value}
    done <<<"${answer%:*}"

    COMPREPLY=()
    if ((${#values[@]} == 0)); then
        # 4: file names make no sense here.
        [[ $directive == 4 ]] || compopt -o default 2>/dev/null
        return
    fi
    if [[ ${COMP_TYPE-} == 63 ]]; then
        # The list of a second Tab: bash shows it and inserts nothing.
        limit=${COLUMNS:-80}
        ((width <= limit / 2)) || width=limit/2
        for ((i = 0; i < ${#values[@]}; i++)); do
            value=${values[i]}
            about=${abouts[i]}
            if [[ -n $about ]]; then
                printf -v value "%-${width}s  %s" "$value" "$about"
                ((${#value} < limit)) || value=${value:0:limit-2}…
            fi
            COMPREPLY+=("$value")
        done
        return
    fi
    for value in "${values[@]}"; do
        value=$base$value
        [[ ${value:0:${#kept}} == "$kept" ]] || continue
        __databricks_quoted "${value:${#kept}}"
        COMPREPLY+=("$REPLY")
    done
}

complete -F _databricks databricks
