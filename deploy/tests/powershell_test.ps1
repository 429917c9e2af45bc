# What no machine without PowerShell can show. Wants the modules PSScriptAnalyzer and Pester (Install-Module).
Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'
$script = Join-Path $PSScriptRoot '../deploy_linux_fixed.ps1'

$found = Invoke-ScriptAnalyzer -Path $script
if ($found) { $found | Format-Table; throw 'PSScriptAnalyzer has something to say' }

# A bash that only says what it was given, so that every action can be tried on this machine.
$bin = New-Item -ItemType Directory -Path (Join-Path ([IO.Path]::GetTempPath()) ([Guid]::NewGuid()))
Set-Content -Path (Join-Path $bin 'bash') -Value "#!/bin/sh`necho `"`$2`""
chmod +x (Join-Path $bin 'bash')
$env:PATH = "$bin$([IO.Path]::PathSeparator)$env:PATH"
$expected = @{
    'Initialize' = 'cd . && deploy/deploy_linux.sh --cpu /srv/data'
    'Start'      = 'cd . && docker compose --env-file /srv/data/.env up --detach'
    'Stop'       = 'cd . && docker compose --env-file /srv/data/.env stop'
    'View-Logs'  = 'cd . && docker compose --env-file /srv/data/.env logs --tail 200 infer'
    'Get-Status' = 'cd . && docker compose --env-file /srv/data/.env ps --all'
    'Test'       = 'cd . && deploy/deploy_linux.sh --no-build --cpu /srv/data'
}
foreach ($action in $expected.Keys) {
    $said = & $script -Action $action -Arguments '--cpu' -Service infer -Directory /srv/data
    if ($said -ne $expected[$action]) { throw "$action ran '$said'" }
}
Remove-Item -Recurse $bin
'every action runs what it should'
