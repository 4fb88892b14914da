/* The start functions of the data listener's endpoints (routes.c). */
#ifndef SERVER_API_H
#define SERVER_API_H

#include "server/request.h"

void api_messages(struct request *r);
void api_chat(struct request *r);
void api_count_tokens(struct request *r);
void api_route(struct request *r);
void api_models(struct request *r);
void api_model(struct request *r);
void api_model_endpoints(struct request *r);
void api_generations(struct request *r);
void api_generation(struct request *r);
void api_feedback(struct request *r);
void api_key(struct request *r);
void api_live(struct request *r);
void api_ready(struct request *r);
void api_root(struct request *r);

#endif
