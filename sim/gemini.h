/* Gemini's generateContent, of the Gemini API and of Vertex.  Written after
 * ai.google.dev/api/generate-content and cloud.google.com/vertex-ai/docs/reference/rest. */
#ifndef SIM_GEMINI_H
#define SIM_GEMINI_H

#include "sim/ask.h"

/* What signatures of the simulator's own begin with, in base64 ("sim-thought-signature-"). */
#define GEMINI_SIGNATURE "c2ltLXRob3VnaHQtc2lnbmF0dXJl"

bool gemini_read(struct ask *k);
void gemini_write(struct ask *k);

#endif
