#!/bin/bash
# Whether the service on this port of this container takes work: bash's own sockets, since the image has no curl.
#   orfeas-ready 9101
exec 3<>"/dev/tcp/127.0.0.1/${1:?the port of the health server}" || exit 1
printf 'GET /readyz HTTP/1.0\r\n\r\n' >&3
IFS=' ' read -r -t 3 _ status _ <&3
[ "$status" = 200 ]
