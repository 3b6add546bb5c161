# Completion of `databricks` for PowerShell. To have it in every shell: databricks completion install
#
# The program itself is asked what fits (`databricks __complete`). What was typed and what comes back are data: nothing of either is evaluated, and names are quoted
# before they reach the command line.

Register-ArgumentCompleter -Native -CommandName 'databricks' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    # The words in front of the cursor, without their quotes.
    $typed = [System.Collections.Generic.List[string]]::new()
    $current = ''
    foreach ($element in ($commandAst.CommandElements | Select-Object -Skip 1)) {
        if ($element.Extent.StartOffset -ge $cursorPosition) { break }
        $text = if ($element -is [System.Management.Automation.Language.StringConstantExpressionAst]) { $element.Value } else { $element.Extent.Text }
        if ($element.Extent.EndOffset -ge $cursorPosition) {
            $current = $text
            if ($element.Extent.EndOffset -gt $cursorPosition) {
                $current = $element.Extent.Text.Substring(0, $cursorPosition - $element.Extent.StartOffset)
            }
        } else {
            $typed.Add($text)
        }
    }
    $request = @('__complete') + $typed + @($current)
    # Before 7.3, and where it is still the setting, PowerShell drops empty arguments and loses the double quotes inside the others.
    if (-not (Test-Path Variable:PSNativeCommandArgumentPassing) -or $PSNativeCommandArgumentPassing -eq 'Legacy') {
        $request = @($request | ForEach-Object { if ($_ -eq '') { '""' } else { $_ -replace '(\\*)"', '$1$1\"' } })
    }
    $program = Get-Command -Name 'databricks' -CommandType Application -ErrorAction SilentlyContinue | Select-Object -First 1
    if (-not $program) { return }

    $encoding = [Console]::OutputEncoding
    try {
        [Console]::OutputEncoding = [System.Text.UTF8Encoding]::new($false)
        $answer = @(& $program @request 2>$null)
    } finally {
        [Console]::OutputEncoding = $encoding
    }
    if ($answer.Count -eq 0) { return }
    $directive = $answer[-1]
    if ($answer.Count -eq 1) {
        # ':4': file names make no sense here, and an empty completion keeps PowerShell from offering them.
        if ($directive -eq ':4') { '' }
        return
    }

    # To --profile=x the answer is the value alone.
    $base = if ($current -match '^-[^=]*=') { $Matches[0] } else { '' }
    foreach ($line in $answer[0..($answer.Count - 2)]) {
        $value, $about = $line -split "`t", 2
        if (-not $value) { continue }
        if (-not $about) { $about = $value }
        $text = $base + $value
        # Anything but plain words goes between single quotes; PowerShell takes the typographic ones for quotes too.
        if ($text -notmatch '^[\p{L}\p{N}_./:=+][\p{L}\p{N}_./:=+-]*$' -and $text -notmatch '^--?[A-Za-z][A-Za-z0-9-]*$') {
            $text = "'" + [System.Management.Automation.Language.CodeGeneration]::EscapeSingleQuotedStringContent($text) + "'"
        }
        [System.Management.Automation.CompletionResult]::new($text, $value, 'ParameterValue', $about)
    }
}
