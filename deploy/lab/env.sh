# . env.sh [demo|demo2|viewer|admin]   sets OS_* for that user (default: demo)
# shellcheck shell=bash
for _v in $(env | sed -n 's/^\(OS_[A-Z_]*\)=.*/\1/p'); do unset "$_v"; done; unset _v
export OS_AUTH_URL=http://127.0.0.1:5000/v3 OS_IDENTITY_API_VERSION=3 OS_AUTH_TYPE=password
export OS_REGION_NAME=RegionOne OS_USER_DOMAIN_NAME=Default OS_PROJECT_DOMAIN_NAME=Default
export OS_USERNAME=${1:-demo} OS_PROJECT_NAME=${1:-demo} OS_PASSWORD=${LAB_PASS:-lab}
if [ "$OS_USERNAME" = viewer ]; then export OS_PROJECT_NAME=demo; fi
export OS_INTERFACE=public
