-- What:  nonces of signed requests, so that none is heard twice by any process; which peers may have private addresses.
-- Phase: expand. A short lock on `peer`.

create table request_nonce (
    scid       text not null,                               -- who signed
    nonce      text not null,
    expires_at timestamptz not null,                        -- by this node's clock
    primary key (scid, nonce)
);
create index request_nonce_expires_at on request_nonce (expires_at);

-- Peers added so far were typed when any address was allowed.
alter table peer add column private boolean not null default false;
update peer set private = true;

-- Whose requests are known: peers by their operator.
create index peer_operator_scid on peer (operator_scid);
