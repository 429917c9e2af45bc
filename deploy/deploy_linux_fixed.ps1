<#
.SYNOPSIS
    Runs an ORFEAS deployment from Windows: on this machine (Docker Desktop or WSL) or on a Linux host over ssh.

.DESCRIPTION
    The host does the work with deploy/deploy_linux.sh and Docker Compose; this script only carries commands there.

.EXAMPLE
    ./deploy_linux_fixed.ps1 -Action Initialize -RemoteHost admin@gpu1 -RemotePath /srv/orfeas -Directory /data/orfeas
    ./deploy_linux_fixed.ps1 -Action View-Logs -Service infer -RemoteHost admin@gpu1 -RemotePath /srv/orfeas
    ./deploy_linux_fixed.ps1 -Action Get-Status
#>
[CmdletBinding()]
param(
    [Parameter(Mandatory = $true)]
    [ValidateSet('Initialize', 'Start', 'Stop', 'View-Logs', 'Get-Status', 'Test')]
    [string] $Action,

    # user@host for ssh; localhost means this machine.
    [ValidatePattern('^[A-Za-z0-9._@:-]+$')]
    [string] $RemoteHost = 'localhost',

    # The clone on that host.
    [ValidatePattern('^[A-Za-z0-9._/~-]+$')]
    [string] $RemotePath = '.',

    # The folder that deploy_linux.sh was given, with data, secrets and .env; none: the clone.
    [ValidatePattern('^[A-Za-z0-9._/~-]*$')]
    [string] $Directory = '',

    # More arguments of deploy_linux.sh, -Arguments '--cpu' say.
    [ValidatePattern('^[A-Za-z0-9._/= -]*$')]
    [string] $Arguments = '',

    # Whose logs; all of them where none is named.
    [ValidateSet('', 'nats', 'ingest', 'infer', 'export', 'metrics', 'prometheus', 'grafana', 'alertmanager')]
    [string] $Service = ''
)

Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'

$compose = 'docker compose'
if ($Directory) {
    $compose = "docker compose --env-file $Directory/.env"
}

# Runs a command of a POSIX shell where the deployment is, and fails where it fails.
function Invoke-Deployment {
    param([Parameter(Mandatory = $true)] [string] $Command)
    $line = "cd $RemotePath && $Command"
    if ($RemoteHost -ne 'localhost') {
        & ssh -o BatchMode=yes $RemoteHost $line
    }
    elseif (Get-Command bash -ErrorAction SilentlyContinue) {
        & bash -c $line
    }
    else {
        & wsl bash -c $line
    }
    if ($LASTEXITCODE -ne 0) {
        throw "'$Command' on $RemoteHost ended with exit code $LASTEXITCODE"
    }
}

function Initialize-Deployment {
    Invoke-Deployment "deploy/deploy_linux.sh $Arguments $Directory"
}

function Start-Deployment {
    Invoke-Deployment "$compose up --detach"
}

function Stop-Deployment {
    Invoke-Deployment "$compose stop"
}

function Show-DeploymentLog {
    Invoke-Deployment "$compose logs --tail 200 $Service"
}

function Get-DeploymentStatus {
    Invoke-Deployment "$compose ps --all"
}

function Test-Deployment {
    # Everything is there already, so this only waits for health and makes the test mesh.
    Invoke-Deployment "deploy/deploy_linux.sh --no-build $Arguments $Directory"
}

switch ($Action) {
    'Initialize' { Initialize-Deployment }
    'Start' { Start-Deployment }
    'Stop' { Stop-Deployment }
    'View-Logs' { Show-DeploymentLog }
    'Get-Status' { Get-DeploymentStatus }
    'Test' { Test-Deployment }
}
