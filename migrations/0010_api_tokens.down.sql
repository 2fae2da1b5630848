-- Drops all API tokens: whoever used one is locked out.

DROP TABLE api_tokens;
DROP FUNCTION api_tokens_refuse_return();
