/* The data listener's endpoints, a row each. Adding one: a row here, its start function in
 * an api_*.c file, a line in docs/api.md. */
#define _GNU_SOURCE
#include "server/api.h"
#include "server/http.h"

const struct route_row routes[] = {
    {.method = "POST", .path = "/v1/messages", .needs_key = true, .has_body = true, .bills = true,
     .start = api_messages},
    {.method = "POST", .path = "/v1/messages/count_tokens", .needs_key = true, .has_body = true,
     .start = api_count_tokens},
    {.method = "POST", .path = "/v1/route", .needs_key = true, .has_body = true, .start = api_route},
    {.method = "GET", .path = "/v1/models", .needs_key = true, .start = api_models},
    {.method = "GET", .path = "/v1/models/", .parameter = true, .suffix = "/endpoints",
     .needs_key = true, .start = api_model_endpoints},
    {.method = "GET", .path = "/v1/models/", .parameter = true, .suffix = "", .needs_key = true,
     .start = api_model},
    {.method = "GET", .path = "/v1/generations", .needs_key = true, .start = api_generations},
    {.method = "GET", .path = "/v1/generations/", .parameter = true, .suffix = "", .needs_key = true,
     .start = api_generation},
    {.method = "GET", .path = "/v1/key", .needs_key = true, .start = api_key},
    {.method = "GET", .path = "/health/live", .start = api_live},
    {.method = "GET", .path = "/health/ready", .start = api_ready},
    {.method = "GET", .path = "/", .start = api_root},
    {.path = NULL},
};
